/** @file The files of one model, open: the checkpoint, and a VAE of its own and a refiner where there are such. */
import type { Txt2imgOptions } from "../syntax/options.ts";
import { embeddedModel } from "./embedded-model.ts";
import { type OpenModelSource, openModelSource } from "./model-source.ts";

/** Which model is meant, and how it is read. */
export type ModelChoice = Pick<
  Txt2imgOptions,
  "model" | "vae" | "vaePrecision" | "refiner" | "prediction" | "strict" | "allowNonfinite" | "lowMemory" | "maxHeader"
>;

export interface ModelFiles {
  readonly choice: ModelChoice;
  readonly model: OpenModelSource;
  readonly vae: OpenModelSource | undefined;
  readonly refiner: OpenModelSource | undefined;
  close(): Promise<void>;
}

/** @throws FileSystemError, NetworkError: those of `openModelSource` */
export async function openModelFiles(choice: ModelChoice, signal: AbortSignal): Promise<ModelFiles> {
  const model = await openModelSource(choice.model ?? embeddedModel, signal);
  const opened = [model];
  const close = async () => {
    for (const source of opened) await source.close();
  };
  const open = async (place: string | undefined): Promise<OpenModelSource | undefined> => {
    if (place === undefined) return undefined;
    const source = await openModelSource(place, signal);
    opened.push(source);
    return source;
  };
  try {
    return { choice, model, vae: await open(choice.vae), refiner: await open(choice.refiner), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Whether what is open will do for this choice too. */
export function sameModel(a: ModelChoice, b: ModelChoice): boolean {
  return (
    ["model", "vae", "vaePrecision", "refiner", "prediction", "strict", "allowNonfinite", "lowMemory", "maxHeader"] as const
  ).every((name) => a[name] === b[name]);
}
