import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { noiseFor, readNoise, writeLatent } from "../../cli/pictures/latent-file.ts";
import { temporaryFolder } from "./limn.ts";

const shape = [1, 4, 8, 8];

describe("a file for --noise", () => {
  const folder = temporaryFolder();
  const saved = (name: string, values: Float32Array): string => {
    const path = join(folder, name);
    writeFileSync(path, writeLatent("noise", shape, values));
    return path;
  };

  it("comes back as it was written, zeros and large values included", async () => {
    const values = Float32Array.from({ length: 256 }, (_, i) => (i % 3 === 0 ? 0 : 1e30 * (i - 128)));
    expect(noiseFor(await readNoise(saved("good", values)), 64, 64)).toEqual(values);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("is refused with %d in it", async (wrong) => {
    const path = saved(`bad${wrong}`, new Float32Array(256).fill(wrong, 17, 18));
    const refused = {
      name: "UsageError",
      code: "INVALID_NOISE",
      message: `--noise ${path}: value 17 of 256 is ${wrong}, no finite number`,
    };
    await expect(readNoise(path)).rejects.toMatchObject(refused);
  });
});
