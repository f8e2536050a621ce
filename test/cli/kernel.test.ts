import { beforeAll, describe, expect, test } from "vitest";
import { allKernels } from "../../kernels/index.ts";
import { build, errorLines, limn } from "./limn.ts";

describe("limn kernel", () => {
  beforeAll(build);

  test("lists every kernel with its rungs", async () => {
    const { code, stdout } = await limn(["kernel"]);
    expect(code).toBe(0);
    const lines = stdout.toString().trimEnd().split("\n");
    expect(lines.map((line) => line.split(" ")[0])).toEqual([...new Set(allKernels.map(({ spec }) => spec.name))]);
    expect(lines.find((line) => line.startsWith("layer-norm "))).toMatch(/naive, software, workgroup$/);
    const { kernels } = JSON.parse((await limn(["kernel", "--json"])).stdout.toString()) as {
      kernels: { name: string; rungs: string[] }[];
    };
    expect(kernels.find(({ name }) => name === "fill")).toEqual({ name: "fill", rungs: [] });
  });

  test("prints the whole module of one; the operation's name alone means its readable rung", async () => {
    const { code, stdout } = await limn(["kernel", "layer-norm"]);
    expect(code).toBe(0);
    expect(stdout.toString()).toBe(allKernels.find(({ name }) => name === "layer-norm/naive")?.module({ types: {} }));
    const json = JSON.parse((await limn(["kernel", "layer-norm/software", "--json"])).stdout.toString()) as {
      name: string;
      wgsl: string;
    };
    expect(json.name).toBe("layer-norm/software");
    expect(json.wgsl).toContain("@compute");
  });

  test("an unknown name is a usage error", async () => {
    const { code, stdout, stderr } = await limn(["kernel", "group"]);
    expect(code).toBe(2);
    expect(stdout).toHaveLength(0);
    expect(errorLines(stderr)).toMatchObject({ code: "UNKNOWN_KERNEL", hint: expect.stringContaining("group-norm/naive") });
  });
});
