/** @file The options of previews. */
import type { Command } from "commander";
import { type PreviewOptions, previewKinds } from "../preview/preview-options.ts";
import { terminalKinds } from "../preview/terminal-kind.ts";
import { wholeNumber } from "./numbers.ts";
import { choice, number, type Values } from "./shared.ts";

export function addPreviewOptions(command: Command): void {
  command
    .addOption(choice("--preview <kind>", "show the picture while it is made (default: none)", previewKinds))
    .addOption(
      number("--preview-every <steps>", "how often (default: 1, each step)", wholeNumber("preview-every", { min: 1, max: 1000 })),
    )
    .option("--preview-file <file>", "a PNG to show it in, written anew each time")
    .addOption(
      choice("--preview-terminal <kind>", "how to show it in the terminal (default: auto)", ["auto", "none", ...terminalKinds]),
    );
}

/** Any option of previews asks for one. */
export function previewValues(values: Values): PreviewOptions {
  const { preview, previewEvery, previewFile, previewTerminal } = values;
  const asked = previewEvery !== undefined || previewFile !== undefined || previewTerminal !== undefined;
  return {
    kind: (preview as PreviewOptions["kind"] | undefined) ?? (asked ? "latent" : "none"),
    every: (previewEvery as number | undefined) ?? 1,
    file: previewFile as string | undefined,
    terminal: (previewTerminal as PreviewOptions["terminal"] | undefined) ?? "auto",
  };
}
