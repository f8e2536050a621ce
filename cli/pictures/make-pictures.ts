/** @file The pictures of a run: places first, then one after the other, each written as soon as it is made. */
import type { PictureOptions } from "../syntax/options.ts";
import { picturesOf } from "./batches.ts";
import { InitReader } from "./init.ts";
import { readNoise } from "./latent-file.ts";
import { keepPicture } from "./picture-file.ts";
import { preparePlaces, type RunningNumbers } from "./places.ts";
import type { Session } from "./session.ts";
import { withStyles } from "./styles.ts";
import type { MadePicture } from "./summary.ts";

export interface MakeOptions {
  /** Stops this call, not the session. */
  readonly signal?: AbortSignal | undefined;
  /** Names that go on from earlier calls. Others are numbered where several pictures of this call share one. */
  readonly numbers?: RunningNumbers | undefined;
}

/**
 * Everything that can be checked is checked for all of them before the first.
 * @throws LimnError of every class; the signal's reason when it is aborted
 */
export async function makePictures(
  session: Session,
  asked: readonly PictureOptions[],
  { signal, numbers }: MakeOptions = {},
): Promise<readonly MadePicture[]> {
  const wanted: PictureOptions[] = [];
  for (const one of asked) wanted.push(await withStyles(one));
  if (wanted.some(({ prompt }) => prompt.trim() === "")) {
    session.progress.warn("the prompt is empty: the picture will show anything");
  }
  const requests = wanted.flatMap(picturesOf);
  const places = await preparePlaces(requests, numbers);
  const inits = new InitReader();
  for (const one of wanted) await inits.read(one);
  const images: MadePicture[] = [];
  for (const [index, place] of places.entries()) {
    const request = requests[index]!;
    const { noise } = request.options;
    const init = await inits.read(request.options);
    const made = await session.make(
      { ...request, init, noise: noise === undefined ? undefined : await readNoise(noise) },
      signal,
    );
    images.push(await keepPicture(made, place));
  }
  return images;
}
