/** @file The second pass as the command line asks for it, and its upscaler: a name that the library knows, or a file. */
import { basename } from "node:path";
import { type Device, FileSystemError, UsageError } from "../../engine/index.ts";
import { openTensors } from "../../model/checkpoint/open-tensors.ts";
import { findLatentUpscaler, type HiresOptions, latentUpscalers } from "../../model/hires/index.ts";
import {
  findPixelUpscaler,
  type PixelUpscaler,
  pixelUpscalers,
  plainUpscaler,
  type UpscaleOptions,
  Upscaler,
} from "../../model/upscale/index.ts";
import { openFile } from "../files/file-source.ts";

export interface HiresChoice extends Omit<HiresOptions, "upscaler" | "width" | "height"> {
  /** Pixels; 0 for what the proportions give. */
  readonly size?: { readonly width: number; readonly height: number } | undefined;
  /** A name or label that the library knows, or the path of a file. */
  readonly upscaler: string;
}

/** Path of the network, if the choice is none of the upscalers that need no file. */
export function upscalerFile({ upscaler }: Pick<HiresChoice, "upscaler">): string | undefined {
  return findLatentUpscaler(upscaler) || findPixelUpscaler(upscaler) ? undefined : upscaler;
}

/** As a picture's metadata names it: the web UI's label, or the file's name without its ending. */
export function upscalerLabel({ upscaler }: Pick<HiresChoice, "upscaler">): string {
  const pixels = findPixelUpscaler(upscaler);
  return findLatentUpscaler(upscaler)?.label ?? (pixels ? plainUpscaler(pixels).name : stem(upscaler));
}

/** Networks of the session: one is kept on the device until another is wanted. */
export class UpscalerLibrary {
  #loaded: { readonly path: string; readonly device: Device; readonly upscaler: Upscaler } | undefined;

  /** Looks for the file, before anything is loaded. @throws FileSystemError those of `openFile` */
  async expectFile(choice: HiresChoice | undefined): Promise<void> {
    const path = choice && upscalerFile(choice);
    if (path === undefined) return;
    await (await openFile(path).catch((error: unknown) => explained(path, error))).close();
  }

  /** What `generate` takes. @throws FileSystemError those of `openFile`; ModelFileError those of `Upscaler.load` */
  async request(choice: HiresChoice, device: Device, options: UpscaleOptions): Promise<HiresOptions> {
    const { size, upscaler, ...others } = choice;
    return { ...others, width: size?.width, height: size?.height, upscaler: await this.#upscaler(upscaler, device, options) };
  }

  /** A network on the device. */
  async load(path: string, device: Device, signal?: AbortSignal): Promise<Upscaler> {
    if (this.#loaded?.path === path && this.#loaded.device === device) return this.#loaded.upscaler;
    this.free();
    const source = await openFile(path);
    try {
      const upscaler = await Upscaler.load(await openTensors(source), device, signal ? { signal } : {});
      this.#loaded = { path, device, upscaler };
      return upscaler;
    } finally {
      await source.close();
    }
  }

  /** Gives the network back, before its device goes. */
  free(): void {
    this.#loaded?.upscaler.free();
    this.#loaded = undefined;
  }

  async #upscaler(name: string, device: Device, options: UpscaleOptions): Promise<string | PixelUpscaler> {
    if (findLatentUpscaler(name)) return name;
    const pixels = findPixelUpscaler(name);
    if (pixels) return plainUpscaler(pixels);
    const network = await this.load(name, device, options.signal);
    return { name: stem(name), upscale: (picture) => network.upscale(picture, options) };
  }
}

/** A word that is no file may be a name misspelt. */
function explained(name: string, error: unknown): never {
  if (!(error instanceof FileSystemError) || error.code !== "FS_NOT_FOUND" || /[./\\]/.test(name)) throw error;
  throw new UsageError("UNKNOWN_UPSCALER", `--hires-upscaler: ${JSON.stringify(name)} is no upscaler and no file`, {
    hint: `there are ${[...Object.keys(latentUpscalers), ...Object.keys(pixelUpscalers)].join(", ")}; or name an ESRGAN file`,
    context: { upscaler: name },
  });
}

function stem(path: string): string {
  return basename(path).replace(/\.(safetensors|pth|pt|ckpt|bin)$/i, "");
}
