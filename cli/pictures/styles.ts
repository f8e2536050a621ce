/** @file A1111's styles.csv: prompts with a name, put around or behind the user's own. */
import { existsSync } from "node:fs";
import { UsageError } from "../../engine/errors.ts";
import { nearestName } from "../../model/sampling/index.ts";
import { parseCsv } from "../files/csv.ts";
import { readTextFile } from "../files/text-file.ts";

export interface Style {
  readonly name: string;
  readonly prompt: string;
  readonly negative: string;
}

/** Which styles, and where they are looked up. */
export interface StyleChoice {
  readonly styles: readonly string[];
  /** Path; without it styles.csv of this folder. */
  readonly stylesFile?: string | undefined;
}

interface Prompts {
  readonly prompt: string;
  readonly negative: string;
}

const usualFile = "styles.csv";

/** The options with their styles in the prompts. @throws UsageError UNKNOWN_STYLE, STYLES_FILE; FileSystemError those of `openFile` */
export async function withStyles<Options extends StyleChoice & Prompts>(options: Options): Promise<Options> {
  if (options.styles.length === 0) return options;
  const known = await readStyles(options.stylesFile);
  let { prompt, negative } = options;
  for (const name of options.styles) {
    if (name === "None") continue; // A1111's word for no style
    const style = known.find((one) => one.name === name);
    if (!style) throw unknownStyle(name, known);
    prompt = merged(style.prompt, prompt);
    negative = merged(style.negative, negative);
  }
  return { ...options, prompt, negative, styles: [] };
}

/** The prompt takes the place of `{prompt}`, or stands before the style's text. */
function merged(style: string, prompt: string): string {
  if (style.includes("{prompt}")) return style.replaceAll("{prompt}", () => prompt);
  return [prompt.trim(), style.trim()].filter((text) => text !== "").join(", ");
}

/** Rows without a name, and those whose name begins with #, are left out. @throws UsageError STYLES_FILE; FileSystemError those of `openFile` */
export async function readStyles(file: string | undefined): Promise<Style[]> {
  if (file === undefined && !existsSync(usualFile)) {
    throw new UsageError("STYLES_FILE", `there is no ${usualFile} in this folder`, {
      hint: "say where it is with --styles-file",
    });
  }
  const path = file ?? usualFile;
  const [header = [], ...rows] = parseCsv(await readTextFile(path, "styles-file"));
  const column = (...names: string[]) => header.findIndex((title) => names.includes(title.trim()));
  // Files from before 2023 call the prompt "text".
  const [name, prompt, negative] = [column("name"), column("prompt", "text"), column("negative_prompt")];
  if (name < 0 || prompt < 0) {
    throw new UsageError("STYLES_FILE", `${path}: its first line is ${JSON.stringify(header.join(",").slice(0, 60))}`, {
      hint: "it should be name,prompt,negative_prompt",
      context: { path },
    });
  }
  return rows
    .map((row) => ({ name: row[name] ?? "", prompt: row[prompt] ?? "", negative: row[negative] ?? "" }))
    .filter((style) => style.name !== "" && !style.name.startsWith("#"));
}

function unknownStyle(name: string, known: readonly Style[]): UsageError {
  const names = known.map((style) => style.name);
  const near = nearestName(
    name.toLowerCase(),
    names.map((one) => one.toLowerCase()),
  );
  const meant = names.find((one) => one.toLowerCase() === near);
  return new UsageError(
    "UNKNOWN_STYLE",
    `there is no style ${JSON.stringify(name.slice(0, 80))} among the ${names.length} of the file`,
    {
      hint: meant === undefined ? "limn styles lists them" : `did you mean ${JSON.stringify(meant)}?`,
      context: { style: name, near: meant },
    },
  );
}
