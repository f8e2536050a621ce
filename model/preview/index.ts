export { type LatentColours, latentColours } from "./colours.ts";
export { latentPreview } from "./latent-preview.ts";
export { StepPreview } from "./step-preview.ts";
