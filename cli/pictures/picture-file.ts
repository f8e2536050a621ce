/** @file The file of a picture: PNG with the text that says how it was made, and its latent if that is asked for. */
import { recordPicture, textsOf } from "../metadata/record.ts";
import { encodePng } from "../png/png.ts";
import { writeStdout } from "../terminal/stdout.ts";
import { writeLatent } from "./latent-file.ts";
import type { Place } from "./places.ts";
import type { SessionPicture } from "./session.ts";
import type { MadePicture } from "./summary.ts";

/**
 * Writes a picture, and its latent if asked for, to the places prepared. Where one of them fails the other is kept.
 * @throws FileSystemError those of `prepareOutput`
 */
export async function keepPicture(picture: SessionPicture, place: Place): Promise<MadePicture> {
  const { width, height, seed, settings, latent } = picture.image;
  const png = pictureFile(picture);
  const [path, saved] = await Promise.allSettled([
    place.picture ? place.picture.write(png) : writeStdout(png).then(() => "-"),
    place.latent?.write(writeLatent("latent", [1, 4, settings.height / 8, settings.width / 8], latent)),
  ]);
  if (path.status === "rejected") throw path.reason;
  if (saved.status === "rejected") throw saved.reason;
  return { path: path.value, seed, width, height };
}

/** The bytes of the PNG, with `texts` beside its own. */
export function pictureFile(
  { request, image, files, variant, machine }: SessionPicture,
  texts: Readonly<Record<string, string>> = {},
): Buffer {
  const { options, batch } = request;
  const recipe = recordPicture({ options, image, index: batch?.index ?? 0, variant, files, machine });
  return encodePng({ ...image, data: withoutAlpha(image.pixels) }, { ...textsOf(recipe), ...texts });
}

/** RGBA -> RGB: the picture is opaque, and most tools expect three channels. */
export function withoutAlpha(pixels: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((pixels.length / 4) * 3);
  for (let from = 0, to = 0; from < pixels.length; from += 4, to += 3) {
    rgb[to] = pixels[from]!;
    rgb[to + 1] = pixels[from + 1]!;
    rgb[to + 2] = pixels[from + 2]!;
  }
  return rgb;
}
