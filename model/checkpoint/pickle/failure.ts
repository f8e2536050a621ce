import { ModelFileError } from "../../../engine/errors.ts";
import { printable } from "../printable.ts";

export type PickleCode =
  | "PICKLE_FORMAT"
  | "PICKLE_TRUNCATED"
  | "PICKLE_COMPRESSED"
  | "PICKLE_DUPLICATE"
  | "PICKLE_TOO_LARGE"
  | "PICKLE_CODE"
  | "PICKLE_OBJECT"
  | "PICKLE_TENSOR";

export const again = "download it again";
export const damaged = `the file is damaged, or was not written by torch.save: ${again}`;

/** Refuses a pickled file. Names from the file in `fact` must be printable already. @throws ModelFileError */
export function refuse(
  code: PickleCode,
  file: string,
  fact: string,
  hint: string,
  context: Readonly<Record<string, unknown>> = {},
): never {
  throw new ModelFileError(code, `${file}: ${printable(fact, 600)}`, { hint, context: { file, ...context } });
}
