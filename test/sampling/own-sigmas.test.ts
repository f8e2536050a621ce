import { expect, test } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import { readConfig } from "../../model/checkpoint/config.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { planPicture } from "../../model/picture/job.ts";
import { NoiseSchedule } from "../../model/sampling/index.ts";
import { ClipTokenizer } from "../../tokenizer/index.ts";

test("noise levels of one's own are the steps that prompt editing and metadata count", async () => {
  const source = await openFile("checkpoints/limn-emoji.safetensors");
  const config = await readConfig(await openSafetensors(source)).finally(() => source.close());
  const model = { config, schedule: new NoiseSchedule(config.schedule), tokenizer: new ClipTokenizer() };
  const plan = (options: object) => planPicture(model, "[fox:house:0.5]", { sampler: "euler", seed: 1n, ...options });
  const changes = ({ prompts }: ReturnType<typeof plan>) => prompts.prompt.parts[0]!.schedule.map(({ end }) => end);
  const own = plan({ sigmas: [14.6, 6.5, 2.7, 0.9, 0] });
  expect([own.settings.steps, changes(own)]).toEqual([4, [2, 4]]);
  expect(plan({ sigmas: [14.6, 6.5, 0], steps: 20 }).settings.steps).toBe(2);
  const usual = plan({ steps: 20 });
  expect([usual.settings.steps, changes(usual)]).toEqual([20, [10, 20]]);
  expect(() => plan({ sigmas: [14.6] })).toThrow(expect.objectContaining({ code: "INVALID_SIGMAS" }));
});
