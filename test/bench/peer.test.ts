import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { attentionCase, groupNormCase, matmulCase } from "../../bench/operations.ts";
import { runPeer } from "../../bench/peer.ts";

const folder = mkdtempSync(join(tmpdir(), "limn-peer-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const cases = [matmulCase(4, 8, 16), attentionCase(2, 3, 5, 8, 2), groupNormCase(4, 32, { groups: 8 })];

/** A peer that is a script for Node. */
function peer(body: string) {
  const script = join(folder, `${Math.random().toString(36).slice(2)}.mjs`);
  writeFileSync(script, `const input = JSON.parse(await new Response(process.stdin).text());\n${body}`);
  return { python: process.execPath, device: "cpu", script } as const;
}

it("is told the shapes, and its times come back", async () => {
  const echo = peer(
    `console.log(JSON.stringify({ torch: "0", device: input.device, rows: input.shapes.map((shape, i) => ({ ...shape, ms: i })) }))`,
  );
  expect(await runPeer(cases, ({ inputs }) => inputs.length, echo)).toEqual({
    torch: "0",
    device: "cpu",
    rows: [
      {
        name: "matmul_4_8_16",
        operation: "matmul",
        inputs: [
          [4, 8],
          [8, 16],
        ],
        settings: {},
        copies: 2,
        ms: 0,
      },
      {
        ...{ name: "attention_2_3_5_8_x2", operation: "attention", settings: { heads: 2 }, copies: 3, ms: 1 },
        inputs: [
          [2, 3, 16],
          [2, 5, 16],
          [2, 5, 16],
        ],
      },
      {
        name: "groupNorm_4_32",
        operation: "groupNorm",
        inputs: [[1, 4, 4, 32], [32], [32]],
        settings: { groups: 8 },
        copies: 3,
        ms: 2,
      },
    ],
  });
});

it.each([
  [
    "it says what is missing",
    `console.error("Traceback\\nno PyTorch: No module named 'torch'"); process.exit(1)`,
    /^no PyTorch: No module/,
  ],
  ["it ends without a word", "process.exit(3)", /ended with 3/],
  ["it prints something else", `console.log("hello")`, /something else than the times: hello/],
])("where there are no times, why: %s", async (_, body, why) => {
  const run = await runPeer(cases, () => 1, peer(body));
  expect("why" in run && run.why).toMatch(why);
});

it("without Python, why; and where it hangs", async () => {
  const none = await runPeer(cases, () => 1, { python: "limn-no-such-python", device: "cuda" });
  expect("why" in none && none.why).toMatch(/limn-no-such-python does not run/);
  const hung = await runPeer(cases, () => 1, { ...peer("setInterval(() => {}, 1000)"), patience: 1 });
  expect("why" in hung && hung.why).toMatch(/stopped after 1 s/);
});
