/** @file The files of one model, open: the checkpoint, and a VAE of its own where there is one. */
import { embeddedModel } from "./embedded-model.ts";
import { type OpenModelSource, openModelSource } from "./model-source.ts";
import type { Txt2imgOptions } from "./options.ts";

/** Which model is meant, and how it is read. */
export type ModelChoice = Pick<Txt2imgOptions, "model" | "vae" | "prediction" | "strict" | "allowNonfinite" | "maxHeader">;

export interface ModelFiles {
  readonly choice: ModelChoice;
  readonly model: OpenModelSource;
  readonly vae: OpenModelSource | undefined;
  close(): Promise<void>;
}

/** @throws FileSystemError, NetworkError: those of `openModelSource` */
export async function openModelFiles(choice: ModelChoice, signal: AbortSignal): Promise<ModelFiles> {
  const model = await openModelSource(choice.model ?? embeddedModel, signal);
  const vae = choice.vae === undefined ? undefined : await openVae(choice.vae, model, signal);
  return {
    choice,
    model,
    vae,
    async close() {
      await model.close();
      await vae?.close();
    },
  };
}

async function openVae(place: string, model: OpenModelSource, signal: AbortSignal): Promise<OpenModelSource> {
  try {
    return await openModelSource(place, signal);
  } catch (error) {
    await model.close();
    throw error;
  }
}

/** Whether what is open will do for this choice too. */
export function sameModel(a: ModelChoice, b: ModelChoice): boolean {
  return (["model", "vae", "prediction", "strict", "allowNonfinite", "maxHeader"] as const).every((name) => a[name] === b[name]);
}
