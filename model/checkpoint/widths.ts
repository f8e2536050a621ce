/** @file Widths that kernels can read: channels lie in fours on the device, and maps are put side by side without gaps. */
import { ModelFileError } from "../../engine/errors.ts";
import type { ModelConfig } from "./config.ts";
import type { SafetensorsFile } from "./safetensors.ts";

/** Refuses a model with a width that is no multiple of 4; no trained one is known. @throws ModelFileError MODEL_UNSUPPORTED */
export function expectFours(file: SafetensorsFile, { unet, vae, text }: ModelConfig): void {
  const widths: readonly (readonly [part: string, width: number])[] = [
    ...[...unet.inputBlocks, ...unet.outputBlocks].map(({ channels }) => ["U-Net", channels] as const),
    ["time embedding", unet.timeDim],
    ...text.flatMap(({ width, mlp }) => [["text encoder", width] as const, ["text encoder's MLP", mlp] as const]),
    ...vae.chMult.map((mult) => ["VAE", mult * vae.ch] as const),
  ];
  const odd = widths.find(([, width]) => width % 4 !== 0);
  if (odd === undefined) return;
  const [part, width] = odd;
  throw new ModelFileError("MODEL_UNSUPPORTED", `${file.source.name}: this is a model with ${width} channels in its ${part}`, {
    hint: "limn runs models whose widths are multiples of 4, as those of Stable Diffusion 1.x, 2.x and XL are",
    context: { file: file.source.name, part, width },
  });
}
