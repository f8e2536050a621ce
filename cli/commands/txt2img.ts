/** @file `limn "PROMPT"`: checks everything that can be checked, makes the pictures, writes them. */
import { resolveSampling } from "../../model/sampling/index.ts";
import { picturesOf } from "../batches.ts";
import { InitReader } from "../init.ts";
import { readNoise } from "../latent-file.ts";
import type { CommandContext, Txt2imgOptions } from "../options.ts";
import { keepPicture } from "../picture-file.ts";
import { preparePlaces } from "../places.ts";
import { readPromptList } from "../prompt-list.ts";
import { Session } from "../session.ts";
import { writeStdout } from "../stdout.ts";
import { type MadePicture, type Summary, summaryJson, summaryText } from "../summary.ts";

/** Of img2img and inpaint too. @throws LimnError of every class; the signal's reason when it is aborted */
export async function run(options: Txt2imgOptions, context: CommandContext): Promise<void> {
  const session = new Session(options, context);
  try {
    const { progress } = session;
    const wanted = options.prompts ? (await readPromptList(options.prompts)).map((line) => line.options) : [options];
    if (wanted.some(({ prompt }) => prompt.trim() === "")) progress.warn("the prompt is empty: the picture will show anything");
    for (const one of wanted) if (one.sampler !== undefined || one.schedule !== undefined) resolveSampling(one);
    const requests = wanted.flatMap(picturesOf);
    const places = await preparePlaces(requests);
    const inits = new InitReader();
    for (const one of wanted) await inits.read(one);
    const images: MadePicture[] = [];
    for (const [index, place] of places.entries()) {
      const request = requests[index]!;
      const { noise } = request.options;
      const init = await inits.read(request.options);
      const made = await session.make({ ...request, init, noise: noise === undefined ? undefined : await readNoise(noise) });
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
