/** @file What the command line asks for, checked: one record a command. */
import type { Precision, Tier } from "../../engine/tier.ts";
import type { ResizeMode } from "../../model/image/index.ts";
import type { MaskedContent } from "../../model/picture/inpaint.ts";
import type { StepRule } from "../../model/sampling/strength.ts";
import type { EmbeddingChoice } from "../addons/embeddings.ts";
import type { HypernetChoice } from "../addons/hypernetworks.ts";
import type { LoraChoice } from "../addons/loras.ts";
import type { Color } from "../image/color.ts";
import type { HiresChoice } from "../pictures/hires.ts";
import type { PictureSettings } from "../pictures/picture-settings.ts";
import type { StyleChoice } from "../pictures/styles.ts";
import type { PreviewOptions } from "../preview/preview-options.ts";

export interface CommonOptions {
  /** One JSON object on stdout, errors as JSON on stderr. */
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Stack traces. */
  readonly debug: boolean;
}

export interface GpuOptions {
  /** Index as `limn doctor` lists them. */
  readonly adapter?: number | undefined;
  readonly requireGpu: boolean;
  readonly tier?: Tier | undefined;
  readonly precision: Precision;
  /** MiB that a binding may have, where the adapter has more. */
  readonly limitBinding?: number | undefined;
}

/** A file of prompts, and the command line that its lines add to. */
export interface PromptList {
  /** Path, or "-" for stdin. */
  readonly file: string;
  readonly line: CommandLine;
}

/** A command as it was given. */
export interface CommandLine {
  readonly command: string;
  /** What stood behind the command. */
  readonly words: readonly string[];
}

export interface Txt2imgOptions
  extends CommonOptions,
    GpuOptions,
    PictureSettings,
    LoraChoice,
    EmbeddingChoice,
    HypernetChoice,
    StyleChoice {
  readonly prompt: string;
  readonly negative: string;
  /** Path of the checkpoint; without it the embedded one. */
  readonly model?: string | undefined;
  /** Path, or "-" for stdout; without it a name made of prompt and seed. */
  readonly output?: string | undefined;
  /** 0..2^64-1, of the first picture; a random one is already drawn where none was given. */
  readonly seed: bigint;
  readonly batch: number;
  /** How many batches, one after the other. */
  readonly count: number;
  /** A list of prompts in the place of one. */
  readonly prompts?: PromptList | undefined;
  /** A second pass over the enlarged picture. */
  readonly hires?: HiresChoice | undefined;
  readonly preview: PreviewOptions;
  readonly prediction: "auto" | "eps" | "v";
  readonly vae?: string | undefined;
  readonly vaePrecision: Precision;
  /** Path of the model that makes the last steps, and from where on, 0..1. */
  readonly refiner?: string | undefined;
  readonly refinerAt?: number | undefined;
  readonly overwrite: boolean;
  readonly strict: boolean;
  readonly allowNonfinite: boolean;
  /** Text encoder and VAE leave the GPU while they have nothing to do. */
  readonly lowMemory: boolean;
  readonly maxHeader?: number | undefined;
  readonly noise?: string | undefined;
  readonly saveLatent?: string | undefined;
}

export interface Img2imgOptions extends Txt2imgOptions {
  /** Path of the picture to start from. */
  readonly init: string;
  /** 0..1; without it the model's usual one. */
  readonly strength?: number | undefined;
  readonly stepRule: StepRule;
  readonly resizeMode: ResizeMode;
  readonly imageGuidance?: number | undefined;
  /** Behind transparent parts. */
  readonly background: Color;
}

export interface InpaintOptions extends Img2imgOptions {
  /** Path of the mask. */
  readonly mask: string;
  readonly maskInvert: boolean;
  /** Pixels. */
  readonly maskBlur: number;
  readonly fill: MaskedContent;
  readonly onlyMasked: boolean;
  /** Pixels. */
  readonly padding: number;
}

/** Of a command that makes a picture from a prompt, from a picture, or in a part of one. */
export type PictureOptions = Txt2imgOptions | Img2imgOptions | InpaintOptions;

export interface GridOptions extends CommonOptions {
  readonly picture: PictureOptions;
  /** As given: "steps=10,20". */
  readonly axes: { readonly x?: string | undefined; readonly y?: string | undefined; readonly z?: string | undefined };
  /** Path, or "-" for stdout; without it a name made of the prompt. */
  readonly output?: string | undefined;
  /** Folder that keeps each picture. */
  readonly cells?: string | undefined;
  /** Most pixels of a cell's longer side in the grid. */
  readonly cellSize?: number | undefined;
  /** A seed was given; otherwise the picture's is a drawn one. */
  readonly seeded: boolean;
  /** What the cells' options are made of. */
  readonly line: CommandLine;
}

export interface ReplOptions extends CommonOptions {
  /** What every picture begins with. */
  readonly picture: PictureOptions;
  readonly line: CommandLine;
}

export interface StylesOptions extends CommonOptions {
  readonly stylesFile?: string | undefined;
}

export interface UpscaleOptions extends CommonOptions, GpuOptions {
  /** Path. */
  readonly picture: string;
  /** Path of a network; without it the picture is resampled. */
  readonly model?: string | undefined;
  readonly upscaler: "nearest" | "bicubic" | "lanczos";
  /** Default: the network's own, or 2. */
  readonly scale?: number | undefined;
  /** Pixels. */
  readonly tile: number;
  readonly tileOverlap: number;
  /** Behind transparent parts. */
  readonly background: Color;
  /** Path; without it a name made of the picture's. */
  readonly output?: string | undefined;
  readonly overwrite: boolean;
}

export interface InspectOptions extends CommonOptions {
  readonly file: string;
  readonly maxHeader?: number | undefined;
}

export interface TokenizeOptions extends CommonOptions {
  readonly text?: string | undefined;
  readonly file?: string | undefined;
}

export interface PromptOptions extends CommonOptions, EmbeddingChoice {
  readonly text?: string | undefined;
  /** Path of a JSON array of prompts. */
  readonly file?: string | undefined;
  readonly steps: number;
  /** Whose model calls are counted; default: one a step. */
  readonly sampler?: string | undefined;
  /** Chunks, tokens and weights too. */
  readonly explain: boolean;
}

export interface KernelOptions extends CommonOptions {
  readonly name?: string | undefined;
}

export interface TraceOptions extends CommonOptions, GpuOptions {
  readonly model?: string | undefined;
  readonly reference: string;
  /** Largest error relative to the tensor's largest value. */
  readonly tolerance: number;
  readonly maxHeader?: number | undefined;
}

export interface PlanOptions extends CommonOptions, GpuOptions {
  readonly model?: string | undefined;
  readonly vae?: string | undefined;
  /** Path of a second model for the last steps; when it takes over makes no difference to the memory. */
  readonly refiner?: string | undefined;
  readonly refinerAt?: number | undefined;
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  readonly guidance?: number | undefined;
  readonly vaeTile?: number | undefined;
  readonly lowMemory: boolean;
  /** The picture is made from another one. */
  readonly fromPicture: boolean;
  readonly batch: number;
  /** Bytes that the GPU has. */
  readonly memory?: number | undefined;
  readonly maxHeader?: number | undefined;
}

export interface InfoOptions extends CommonOptions {
  /** Path. */
  readonly picture: string;
  /** Print the whole texts too. */
  readonly raw: boolean;
}

export interface ReproduceOptions extends CommonOptions, GpuOptions {
  /** Path. */
  readonly picture: string;
  /** Folders to look for models in, and for what is added to them. */
  readonly modelDirs: readonly string[];
  readonly loraDirs: readonly string[];
  readonly embeddingDirs: readonly string[];
  readonly hypernetDirs: readonly string[];
  /** Files in the place of those that would be looked for. */
  readonly model?: string | undefined;
  readonly vae?: string | undefined;
  readonly init?: string | undefined;
  readonly mask?: string | undefined;
  /** Where to keep the new picture. */
  readonly output?: string | undefined;
  readonly overwrite: boolean;
  /** How far a channel of a pixel may be off, 0..255. */
  readonly tolerance: number;
  readonly maxHeader?: number | undefined;
}

export interface DoctorOptions extends CommonOptions, GpuOptions {}

/** What a command gets besides its options. */
export interface CommandContext {
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  /** Makes Ctrl-C the handler's until the function returned is called. */
  readonly takeInterrupts?: (handler: () => void) => () => void;
}

export type Invocation =
  | { readonly command: "txt2img"; readonly options: Txt2imgOptions }
  | { readonly command: "img2img"; readonly options: Img2imgOptions }
  | { readonly command: "inpaint"; readonly options: InpaintOptions }
  | { readonly command: "grid"; readonly options: GridOptions }
  | { readonly command: "repl"; readonly options: ReplOptions }
  | { readonly command: "styles"; readonly options: StylesOptions }
  | { readonly command: "upscale"; readonly options: UpscaleOptions }
  | { readonly command: "inspect"; readonly options: InspectOptions }
  | { readonly command: "tokenize"; readonly options: TokenizeOptions }
  | { readonly command: "prompt"; readonly options: PromptOptions }
  | { readonly command: "kernel"; readonly options: KernelOptions }
  | { readonly command: "trace"; readonly options: TraceOptions }
  | { readonly command: "plan"; readonly options: PlanOptions }
  | { readonly command: "info"; readonly options: InfoOptions }
  | { readonly command: "reproduce"; readonly options: ReproduceOptions }
  | { readonly command: "doctor"; readonly options: DoctorOptions };
