import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decodePng } from "../../cli/png/png.ts";
import { samplers, schedules } from "../../model/sampling/index.ts";
import { root } from "./limn.ts";

const page = readFileSync(join(root, "docs", "samplers.md"), "utf8");
const names = samplers.map(({ name }) => name);

/** Name and label of the rows of a table, by the heading above it. */
function rowsOf(heading: string): [string, string][] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return [...section.matchAll(/^\| `(\w+)` \| ([^|]+) \|/gm)].map((match) => [match[1]!, match[2]!]);
}

describe("docs/samplers.md", () => {
  it("has every sampler and schedule, with its label, in the tables' order", () => {
    expect(rowsOf("Samplers")).toEqual(samplers.map(({ name, label }) => [name, label]));
    expect(rowsOf("Schedules").sort()).toEqual(schedules.map(({ name, label }): [string, string] => [name, label]).sort());
  });

  it("says how many calls and which schedule each takes", () => {
    for (const sampler of samplers) {
      const row = page.split("\n").find((line) => line.startsWith(`| \`${sampler.name}\``))!;
      const cells = row.split("|").map((cell) => cell.trim());
      if (sampler.secondOrder) expect([sampler.name, cells[3]]).toEqual([sampler.name, "2"]);
      const own =
        sampler.space === "timestep"
          ? "own timesteps"
          : sampler.takesNoSchedule
            ? "ends only"
            : sampler.ownSigmas
              ? "even in time"
              : sampler.schedule;
      expect([sampler.name, cells[5]]).toEqual([sampler.name, own]);
      expect([sampler.name, cells[4]!.includes("Brownian")]).toEqual([
        sampler.name,
        sampler.space === "sigma" && sampler.brownian === true,
      ]);
    }
  });

  it("shows a sheet of all of them, made by the command that stands there", () => {
    const file = readFileSync(join(root, "docs", "samplers.png"));
    expect(file.length).toBeLessThan(1_500_000);
    const { texts } = decodePng(file);
    const { axes, arguments: words } = JSON.parse(texts.get("limn-grid")!);
    expect(axes.y).toEqual({ option: "sampler", values: names });
    expect(axes.x.option).toBe("steps");
    const command = /```sh\n(limn grid [^`]+)```/.exec(page)![1]!;
    expect(command).toContain(`sampler=${names.join(",")}`);
    expect(command).toContain(words[words.indexOf("--x") + 1]);
  });
});
