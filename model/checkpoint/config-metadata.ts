/** @file What a checkpoint says about itself in its metadata: `ldm.config`, `limn.defaults`, `limn.knows`, `limn.backgrounds`. */
import { LimnError, ModelFileError } from "../../engine/errors.ts";
import { mostSide } from "../image/raster.ts";
import { resolveSampler } from "../sampling/sampling-choice.ts";
import { resolveSchedule } from "../sampling/schedule-table.ts";
import type { Defaults } from "./config.ts";
import { printable } from "./printable.ts";
import type { SafetensorsFile } from "./safetensors.ts";

export interface Overrides {
  readonly unet: Section;
  readonly vae: Section;
  readonly text: Section;
  /** Of the second encoder of SDXL. */
  readonly text2: Section;
  readonly schedule: {
    readonly linearStart: number | undefined;
    readonly linearEnd: number | undefined;
    readonly timesteps: number | undefined;
    readonly parameterization: string | undefined;
    readonly zeroTerminalSnr: boolean | undefined;
  };
  readonly defaults: Partial<Defaults>;
  readonly knows: readonly string[];
  readonly backgrounds: readonly string[];
}

/**
 * Reads the metadata that limn knows. Everything in it is optional.
 * @throws ModelFileError CONFIG_METADATA where a value is not of its type
 */
export function readOverrides(file: SafetensorsFile): Overrides {
  const config = objectOf(file, "ldm.config");
  const schedule = config.section("schedule");
  return {
    unet: config.section("unet"),
    vae: config.section("vae"),
    text: config.section("text"),
    text2: config.section("text_2"),
    schedule: {
      linearStart: schedule.number("linear_start", 1e-9, 1),
      linearEnd: schedule.number("linear_end", 1e-9, 1),
      timesteps: schedule.integer("timesteps", 1, 100_000),
      parameterization: schedule.text("parameterization"),
      zeroTerminalSnr: schedule.flag("zero_terminal_snr"),
    },
    defaults: defaultsOf(objectOf(file, "limn.defaults")),
    knows: wordsOf(file, "limn.knows"),
    backgrounds: wordsOf(file, "limn.backgrounds"),
  };
}

function defaultsOf(section: Section): Partial<Defaults> {
  const found = {
    width: section.multiple("width", pixelsPerLatent, 64, mostSide),
    height: section.multiple("height", pixelsPerLatent, 64, mostSide),
    steps: section.integer("steps", 1, 1000),
    guidance: section.number("guidance", 0, 1000),
    sampler: section.known("sampler", resolveSampler),
    schedule: section.known("schedule", resolveSchedule),
  };
  // exactOptionalPropertyTypes: what is not said must not be there.
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)) as Partial<Defaults>;
}

/** Of the autoencoder of every family. */
const pixelsPerLatent = 8;

/** An object of the metadata, read field by field; unknown fields are left alone. */
export class Section {
  readonly path: string;
  readonly #file: string;
  readonly #fields: ReadonlyMap<string, unknown>;

  constructor(file: string, path: string, value: unknown) {
    this.path = path;
    this.#file = file;
    if (typeof value !== "object" || value === null || Array.isArray(value)) this.#fail("", "an object", value);
    this.#fields = new Map(Object.entries(value));
  }

  get isEmpty(): boolean {
    return this.#fields.size === 0;
  }

  section(name: string): Section {
    return new Section(this.#file, `${this.path}.${name}`, this.#fields.get(name) ?? {});
  }

  number(name: string, least: number, most: number): number | undefined {
    const value = this.#fields.get(name) ?? undefined; // JSON's null says nothing
    if (value === undefined) return undefined;
    if (typeof value === "number" && value >= least && value <= most) return value;
    return this.#fail(`.${name}`, `a number ${least} to ${most}`, value);
  }

  integer(name: string, least: number, most: number): number | undefined {
    const value = this.number(name, least, most);
    return value === undefined || Number.isInteger(value) ? value : this.#fail(`.${name}`, "a whole number", value);
  }

  multiple(name: string, of: number, least: number, most: number): number | undefined {
    const value = this.integer(name, least, most);
    return value === undefined || value % of === 0 ? value : this.#fail(`.${name}`, `a multiple of ${of}`, value);
  }

  /** A name that `resolve` takes; its error tells what is near. */
  known(name: string, resolve: (name: string) => unknown): string | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    try {
      resolve(value);
      return value;
    } catch (error) {
      if (!(error instanceof LimnError)) throw error;
      return this.#fail(`.${name}`, `a ${name} that limn has`, value, error.hint);
    }
  }

  text(name: string): string | undefined {
    const value = this.#fields.get(name) ?? undefined;
    return value === undefined || typeof value === "string" ? value : this.#fail(`.${name}`, "a string", value);
  }

  flag(name: string): boolean | undefined {
    const value = this.#fields.get(name) ?? undefined;
    return value === undefined || typeof value === "boolean" ? value : this.#fail(`.${name}`, "true or false", value);
  }

  /** A list of whole numbers from 1 on, or one of them. */
  integers(name: string): readonly number[] | undefined {
    const value = this.#fields.get(name) ?? undefined;
    if (value === undefined) return undefined;
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (list.length <= 64 && list.every((item) => Number.isSafeInteger(item) && Number(item) >= 1)) return list.map(Number);
    return this.#fail(`.${name}`, "whole numbers", value);
  }

  /**
   * Compares what the metadata states with what the tensors show, where these are there (see `dim`).
   * @throws ModelFileError CONFIG_CONFLICT
   */
  agree(facts: Readonly<Record<string, number | readonly number[]>>): void {
    for (const [name, shown] of Object.entries(facts)) {
      const stated = this.#fields.get(name);
      const isKnown = [shown].flat().every((size) => size > 0 && Number.isFinite(size));
      if (stated === undefined || !isKnown || JSON.stringify(stated) === JSON.stringify(shown)) continue;
      const said = printable(JSON.stringify(stated), 60);
      throw new ModelFileError(
        "CONFIG_CONFLICT",
        `${this.#file}: metadata ${this.path}.${name} says ${said}, the tensors' shapes say ${JSON.stringify(shown)}`,
        { hint: "the metadata belongs to another model: remove the key ldm.config, or correct it", context: { stated, shown } },
      );
    }
  }

  #fail(name: string, expected: string, value: unknown, near = ""): never {
    const got = printable(JSON.stringify(value) ?? "nothing", 60);
    throw new ModelFileError("CONFIG_METADATA", `${this.#file}: metadata ${this.path}${name} should be ${expected}, is ${got}`, {
      hint: `correct or remove that key of the file's metadata${near && `: ${near}`}`,
      context: { key: `${this.path}${name}` },
    });
  }
}

function objectOf(file: SafetensorsFile, key: string): Section {
  return new Section(file.source.name, key, parse(file, key) ?? {});
}

function wordsOf(file: SafetensorsFile, key: string): readonly string[] {
  const value = parse(file, key) ?? [];
  if (Array.isArray(value) && value.every((word) => typeof word === "string" && word.trim() !== "")) return value;
  throw metadataError(file, key, "should be a list of words");
}

function parse(file: SafetensorsFile, key: string): unknown {
  const text = file.metadata.get(key);
  if (text === undefined) return undefined;
  if (text.length > 1_000_000) throw metadataError(file, key, "is longer than a megabyte");
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw metadataError(file, key, "is not JSON");
  }
}

function metadataError(file: SafetensorsFile, key: string, fact: string): ModelFileError {
  return new ModelFileError("CONFIG_METADATA", `${file.source.name}: metadata ${key} ${fact}`, {
    hint: "correct or remove that key of the file's metadata",
    context: { key },
  });
}
