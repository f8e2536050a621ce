import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { decodePng, readPngTexts } from "../../../cli/png/png.ts";
import { build, errorLines, limn, temporaryFolder } from "../limn.ts";

const folder = temporaryFolder();
const words = ["a red fox", "-W", "64", "-H", "64", "--x", "steps=1,2", "--y", "sampler=euler,ddim"];

describe("limn grid", () => {
  beforeAll(build);

  it("makes a labelled sheet, keeps its cells, and does not make them again", async () => {
    const first = await limn(["grid", ...words, "--cells", "cells", "-o", "grid.png", "--json"], { cwd: folder });
    expect(first.code).toBe(0);
    const summary = JSON.parse(first.stdout.toString());
    expect(summary.images).toEqual([
      { path: "grid.png", seed: summary.images[0].seed, width: expect.any(Number), height: expect.any(Number) },
    ]);
    const cells = readdirSync(join(folder, "cells")).sort();
    expect(cells).toEqual(["0001-steps-1-euler.png", "0002-steps-2-euler.png", "0003-steps-1-ddim.png", "0004-steps-2-ddim.png"]);
    const grid = decodePng(readFileSync(join(folder, "grid.png")));
    expect([grid.width, grid.height]).toEqual([summary.images[0].width, summary.images[0].height]);
    expect(grid.texts.get("parameters")).toMatch(
      /^a red fox\nSteps: 1, Sampler: Euler, .*, Script: X\/Y\/Z plot, X Type: Steps, X Values: "1,2", Y Type: Sampler, Y Values: "euler,ddim"$/,
    );
    expect(JSON.parse(grid.texts.get("limn-grid")!).axes).toEqual({
      x: { option: "steps", values: ["steps 1", "steps 2"] },
      y: { option: "sampler", values: ["euler", "ddim"] },
    });
    // Every cell stands in the sheet, bottom right the last one.
    const last = decodePng(readFileSync(join(folder, "cells", cells[3]!)));
    const at = (x: number, y: number) => [
      ...grid.data.subarray(((grid.height - 2 - 64 + y) * grid.width + grid.width - 2 - 64 + x) * 4).subarray(0, 3),
    ];
    const gap = 2;
    for (const [x, y] of [
      [0, 0],
      [31, 17],
      [63, 63],
    ] as const) {
      expect(at(x, y - gap)).toEqual([...last.data.subarray((y * 64 + x) * 4).subarray(0, 3)]);
    }

    // Interrupted: one is missing, one is damaged. The seed was drawn; the cells say which.
    rmSync(join(folder, "cells", cells[1]!));
    const whole = readFileSync(join(folder, "cells", cells[2]!));
    writeFileSync(join(folder, "cells", cells[2]!), whole.subarray(0, whole.length - 40));
    const again = await limn(["grid", ...words, "--cells", "cells", "-o", "again.png"], { cwd: folder });
    expect(again.code).toBe(0);
    expect(again.stderr).toContain("2 of 4 pictures were in cells already");
    expect(decodePng(readFileSync(join(folder, "again.png"))).data).toEqual(grid.data);
    // Another limn would find them too: nothing is left to do.
    const third = await limn(["grid", ...words, "--cells", "cells", "-o", "third.png", "--cell-size", "32"], { cwd: folder });
    expect(third.stderr).toContain("4 of 4 pictures were in cells already");
    expect(decodePng(readFileSync(join(folder, "third.png"))).width).toBeLessThan(grid.width);
  });

  it("keeps what it has when it is stopped, and says how to go on", async () => {
    const at = join(folder, "stopped");
    mkdirSync(at);
    const ran = await limn(
      ["grid", "a red fox", "--x", "steps=1,1000", "--seed", "3", "-W", "64", "-H", "64", "--cells", "cells", "-o", "g.png"],
      {
        cwd: at,
        when: { text: "2 of 2", act: (kill) => kill("SIGINT") },
      },
    );
    expect([ran.code, readdirSync(at), readdirSync(join(at, "cells"))]).toEqual([130, ["cells"], ["0001-steps-1.png"]]);
    expect(ran.stderr).toContain("goes on from there");
    expect(readPngTexts(readFileSync(join(at, "cells", "0001-steps-1.png"))).get("limn-cell")).toMatch(/^[0-9a-f]{64}$/);
  });

  it("goes on without a folder of the user's too, and leaves none when it is done", async () => {
    const at = join(folder, "unnamed");
    mkdirSync(at);
    const grid = (steps: string, options = {}) =>
      limn(["grid", "a", "--x", `steps=${steps}`, "--seed", "3", "-W", "64", "-H", "64", "-o", "g.png"], { cwd: at, ...options });
    const stopped = await grid("1,1000", { when: { text: "2 of 2", act: (kill: (signal: "SIGINT") => void) => kill("SIGINT") } });
    expect([stopped.code, readdirSync(at)]).toEqual([130, ["g.png.cells"]]);
    expect(stopped.stderr).toContain("the pictures so far are in g.png.cells: the same command goes on from there");
    const done = await grid("1,2");
    expect([done.code, readdirSync(at)]).toEqual([0, ["g.png"]]);
    expect(done.stderr).toContain("1 of 2 pictures were in g.png.cells already");
  });

  it("checks every cell before it makes the first (fault 44)", async () => {
    const at = join(folder, "checked");
    mkdirSync(at);
    const [sampler, model] = await Promise.all([
      limn(["grid", "a", "--x", "sampler=euler,eulr", "--cells", "c1"], { cwd: at }),
      limn(["grid", "a", "--x", "model=none.safetensors"], { cwd: at }),
    ]);
    expect([sampler.code, errorLines(sampler.stderr).code, errorLines(sampler.stderr).hint]).toEqual([
      2,
      "UNKNOWN_SAMPLER",
      expect.stringContaining("euler"),
    ]);
    expect([model.code, errorLines(model.stderr).code]).toEqual([4, "FS_NOT_FOUND"]);
    expect(readdirSync(at)).toEqual([]);
  });
});
