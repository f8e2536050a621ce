export { type LatentColours, latentColours } from "./colours.ts";
export { latentPreview } from "./latent-preview.ts";
