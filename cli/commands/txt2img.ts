/** @file `limn "PROMPT"`: checks everything that can be checked, makes the pictures, writes them. */
import type { InitOptions } from "../../model/index.ts";
import { resolveSampling } from "../../model/sampling/index.ts";
import { readNoise } from "../latent-file.ts";
import type { CommandContext, Txt2imgOptions } from "../options.ts";
import { keepPicture } from "../picture-file.ts";
import { preparePlaces } from "../places.ts";
import { Session } from "../session.ts";
import { writeStdout } from "../stdout.ts";
import { type MadePicture, type Summary, summaryJson, summaryText } from "../summary.ts";

/** @throws LimnError of every class; the signal's reason when it is aborted */
export async function run(options: Txt2imgOptions, context: CommandContext, init?: InitOptions): Promise<void> {
  const session = new Session(options, context);
  try {
    if (options.prompt.trim() === "") session.progress.warn("the prompt is empty: the picture will show anything");
    if (options.sampler !== undefined || options.schedule !== undefined) resolveSampling(options);
    const places = await preparePlaces(options);
    const noise = options.noise === undefined ? undefined : await readNoise(options.noise);
    const images: MadePicture[] = [];
    for (const [index, place] of places.entries()) {
      const made = await session.make({ options, init, noise, batch: { index, size: options.batch } });
      images.push(await keepPicture(made, place));
    }
    await report(session.summary(images), options, session);
  } finally {
    await session.close();
  }
}

/** One JSON object or a few lines on stdout; on stderr where stdout has the picture. */
async function report(summary: Summary, { json, output }: Txt2imgOptions, { progress }: Session): Promise<void> {
  if (json) await writeStdout(summaryJson(summary));
  else if (output !== "-") await writeStdout(summaryText(summary));
  else for (const line of summaryText(summary).trimEnd().split("\n")) progress.note(line);
}
