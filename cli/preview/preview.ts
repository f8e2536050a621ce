/** @file Shows steps: into a file, and in the terminal above the progress line. */

import { randomInt } from "node:crypto";
import { resize } from "../../model/image/index.ts";
import type { GenerateStep } from "../../model/index.ts";
import { type Output, prepareOutput } from "../files/output.ts";
import { encodePng } from "../png/png.ts";
import type { Progress } from "../terminal/progress.ts";
import type { PreviewOptions } from "./preview-options.ts";
import { showsAllColours, terminalKind } from "./terminal-kind.ts";
import { TerminalPreview } from "./terminal-preview.ts";

export class Preview {
  readonly #options: PreviewOptions;
  readonly #progress: Progress;
  readonly #file: Output | undefined;
  readonly #terminal: TerminalPreview | undefined;

  private constructor(options: PreviewOptions, progress: Progress, file: Output | undefined) {
    this.#options = options;
    this.#progress = progress;
    this.#file = file;
    this.#terminal = terminalFor(options, progress);
  }

  /** Undefined where nothing is to be shown. @throws FileSystemError those of `prepareOutput` */
  static async open(options: PreviewOptions, progress: Progress): Promise<Preview | undefined> {
    if (options.kind === "none") return undefined;
    const file = options.file === undefined ? undefined : await prepareOutput(options.file, { overwrite: true });
    const preview = new Preview(options, progress, file);
    if (preview.#file || preview.#terminal) return preview;
    progress.warn("--preview: stderr is no terminal, so there is nowhere to show it (--preview-file writes it to a file)");
    return undefined;
  }

  /** Another picture begins: what the terminal shows stays. */
  begin(): void {
    this.#terminal?.keep();
  }

  async show({ step, steps, preview }: GenerateStep): Promise<void> {
    if (!preview || (step % this.#options.every !== 0 && step !== steps)) return;
    const small = await (this.#options.kind === "vae" ? preview.decoded() : preview.colours());
    if (this.#terminal) {
      this.#progress.clear();
      this.#terminal.show(small);
    }
    await this.#file?.write(encodePng(resize(small, preview.size, "bicubic")));
  }
}

function terminalFor({ terminal }: PreviewOptions, progress: Progress): TerminalPreview | undefined {
  const { stderr } = process;
  if (terminal === "none" || (terminal === "auto" && (stderr.isTTY !== true || progress.quiet))) return undefined;
  return new TerminalPreview({
    kind: terminal === "auto" ? terminalKind(process.env) : terminal,
    allColours: showsAllColours(process.env),
    columns: stderr.columns || 80,
    lines: stderr.rows || 24,
    write: (text) => stderr.write(text),
    imageId: randomInt(1, 2 ** 31),
  });
}
