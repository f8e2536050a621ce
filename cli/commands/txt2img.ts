/** @file `limn "PROMPT"`, and img2img and inpaint: one picture, a batch, or a list of them. */
import { resolveSampling } from "../../model/sampling/index.ts";
import { makePictures } from "../pictures/make-pictures.ts";
import { readPromptList } from "../pictures/prompt-list.ts";
import { Session } from "../pictures/session.ts";
import { type Summary, summaryJson, summaryText } from "../pictures/summary.ts";
import type { CommandContext, Txt2imgOptions } from "../syntax/options.ts";
import { writeStdout } from "../terminal/stdout.ts";

/** @throws LimnError of every class; the signal's reason when it is aborted */
export async function run(options: Txt2imgOptions, context: CommandContext): Promise<void> {
  const session = new Session(options, context);
  try {
    if (options.sampler !== undefined || options.schedule !== undefined) resolveSampling(options);
    const listed = options.prompts && (await readPromptList(options.prompts));
    for (const { options: one, check } of listed ?? []) await check(() => session.expect(one));
    const images = await makePictures(session, listed?.map((line) => line.options) ?? [options]);
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
