/** @file `npm run bench -- kernels|step|gpu|image|load|roofline ...`: how fast limn is on this machine, with the numbers to compare. */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { basename } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { type Precision, type Tier, tiers } from "../engine/index.ts";
import { compareRuns } from "./compare.ts";
import { type GoalSet, goalSets } from "./goals.ts";
import { adapterName, benchDevice } from "./gpu.ts";
import { benchGpu } from "./gpu-report.ts";
import { benchImage } from "./image.ts";
import { benchKernels, benchPeerShapes } from "./kernels.ts";
import { benchLoad } from "./load.ts";
import { repeatLoad } from "./load-runs.ts";
import { drawRoofline, type KeptKernels } from "./roofline.ts";
import { type BenchFamily, families, familyCases, familySize, peerCases, type ShapeSet } from "./shapes.ts";
import { benchStep } from "./step.ts";

const [loadAtStart] = loadavg();

interface Common {
  readonly tier?: Tier;
  readonly precision?: Precision;
  readonly json?: boolean;
  readonly save?: string;
  readonly compare?: string;
  readonly maxSlowdown: string;
}

interface GpuChoices extends Common {
  readonly family: BenchFamily;
  readonly size?: string;
  readonly batch: string;
  readonly runs: string;
  readonly goals?: GoalSet;
  readonly peak?: number;
  readonly python: string;
  readonly peerDevice: "cuda" | "cpu";
}

const program = new Command("bench").description("Times limn's kernels and pictures on this machine's adapter.");

function command(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .addOption(new Option("--tier <tier>", "force a tier").choices([...tiers]))
    .addOption(new Option("--precision <precision>", "storage").choices(["auto", "f32", "f16"]).default("auto"))
    .option("--json", "one JSON object on stdout")
    .option("--save <file>", "keep the result")
    .option("--compare <file>", "compare with a kept result; exit 1 if anything is slower than --max-slowdown")
    .option("--max-slowdown <factor>", "for --compare", "1.1");
}

command("kernels", "every expensive shape: validated, then timed by GPU timestamps")
  .argument("[name]", "only cases whose name has this in it")
  .addOption(new Option("--family <family>", "whose shapes").choices([...families, "peer"]).default("sd15"))
  .option("--size <pixels>", "picture size (512 for sd15, 1024 for sdxl, 128 for embedded)")
  .addOption(new Option("--rungs <which>", "all rungs, or the one that would be picked").choices(["all", "best"]).default("all"))
  .option("--peer-shapes", "the shapes of the ONNX Runtime peer, wall clock with upload and read-back")
  .action(
    async (
      name: string | undefined,
      options: Common & { family: ShapeSet; size?: string; rungs: "all" | "best"; peerShapes?: boolean },
    ) => {
      const device = await benchDevice(options);
      const wanted = (benchCase: { name: string }) => name === undefined || benchCase.name.includes(name);
      const log = options.json ? (line: string) => console.error(line) : (line: string) => console.log(line);
      const header = { adapter: adapterName(device), tier: device.tier, precision: device.storage };
      log(Object.values(header).join(", "));
      if (options.peerShapes) {
        finish({ ...header, rows: await benchPeerShapes(device, peerCases.filter(wanted), log) }, options);
        return;
      }
      const size = Number(options.size ?? familySize[options.family]);
      const report = await benchKernels(device, familyCases(options.family, size).filter(wanted), options.rungs, log);
      finish({ ...header, family: options.family, size, ...report }, options);
    },
  );

command("step", "one denoising step with synthetic weights: in all, by kernel, by block, and what the host does")
  .addOption(new Option("--family <family>", "whose U-Net").choices([...families]).default("sd15"))
  .option("--size <pixels>", "picture size (512 for sd15, 1024 for sdxl, 128 for embedded)")
  .option("--batch <samples>", "2 with guidance, 1 without", "2")
  .option("--runs <count>", "timed steps; fast ones are run many at a time", "5")
  .action(async (options: Common & { family: BenchFamily; size?: string; batch: string; runs: string }) => {
    const device = await benchDevice(options);
    const log = options.json ? (line: string) => console.error(line) : (line: string) => console.log(line);
    const { family } = options;
    const [size, batch, runs] = [Number(options.size ?? familySize[family]), Number(options.batch), Number(options.runs)];
    const header = { adapter: adapterName(device), tier: device.tier, precision: device.storage };
    log([...Object.values(header), family, `${size}x${size}`, `batch ${batch}`].join(", "));
    finish({ ...header, family, size, batch, ...(await benchStep(device, { family, size, batch, runs }, log)) }, options);
  });

command(
  "gpu",
  "what is asked of a GPU, in one run: steps of every tier that it has, the kernels of the best, beside goals and PyTorch",
)
  .argument("[name]", "only kernels whose name has this in it")
  .addOption(new Option("--family <family>", "whose U-Net and shapes").choices([...families]).default("sd15"))
  .option("--size <pixels>", "picture size (512 for sd15, 1024 for sdxl, 128 for embedded)")
  .option("--batch <samples>", "2 with guidance, 1 without", "2")
  .option("--runs <count>", "timed steps; fast ones are run many at a time", "5")
  .addOption(new Option("--goals <set>", "whose goals (default: by the adapter's name)").choices([...goalSets]))
  .option("--peak <tflops>", "what shares are of, TFLOP/s (default: 620 where there are goals, elsewhere as measured)", positive)
  .option("--python <command>", "a Python with PyTorch, which is timed beside", "python3")
  .addOption(new Option("--peer-device <device>", "where PyTorch computes").choices(["cuda", "cpu"]).default("cuda"))
  .action(async (name: string | undefined, options: GpuChoices) => {
    const { family, goals, peak, tier, precision, python } = options;
    const [size, batch, runs] = [Number(options.size ?? familySize[family]), Number(options.batch), Number(options.runs)];
    const log = options.json ? (line: string) => console.error(line) : (line: string) => console.log(line);
    const peer = { python, device: options.peerDevice };
    const report = await benchGpu({ family, size, batch, runs, goals, peak, tier, precision, peer, name }, log, (sofar) =>
      save({ family, size, batch, ...sofar }, options),
    );
    finish({ family, size, batch, ...report }, options);
    if (report.failures.length > 0) process.exitCode = 1;
  });

command("image", "a picture of the embedded checkpoint, cold and warm, by stage")
  .option("--runs <count>", "warm pictures", "3")
  .option("-m, --model <file>", "another checkpoint")
  .action(async (options: Common & { runs: string; model?: string }) => {
    const device = await benchDevice(options);
    const report = await benchImage(device, Number(options.runs), options.model);
    const header = { adapter: adapterName(device), tier: device.tier, precision: device.storage };
    if (!options.json) console.log({ ...header, ...report });
    finish({ ...header, ...report }, options);
  });

command("load", "a checkpoint's weights to the GPU, beside reading the file and copying it")
  .requiredOption("-m, --model <file>", "the checkpoint")
  .option("--runs <count>", "loads, each in a process of its own; the quickest counts", "3")
  .addOption(new Option("--once", "one load, in this process").hideHelp())
  .action(async (options: Common & { model: string; runs: string; once?: boolean }) => {
    const device = await benchDevice(options);
    if (options.once) {
      console.log(JSON.stringify(await benchLoad(device, options.model)));
      return;
    }
    const log = options.json ? (line: string) => console.error(line) : (line: string) => console.log(line);
    const header = { adapter: adapterName(device), tier: device.tier, precision: device.storage };
    log(Object.values(header).join(", "));
    device.close();
    const report = repeatLoad(Number(options.runs), log);
    if (!options.json) console.log(report);
    finish({ ...header, ...report }, options);
  });

program
  .command("roofline")
  .description("draws a kept run of `bench kernels` as SVG")
  .argument("<file>", "what --save wrote")
  .requiredOption("-o, --output <file>", "the picture")
  .action((file: string, { output }: { output: string }) => {
    writeFileSync(output, drawRoofline(JSON.parse(readFileSync(file, "utf8")) as KeptKernels));
  });

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("It must be a number above 0.");
  return value;
}

function save(result: object, options: Common): void {
  if (options.save) writeFileSync(options.save, `${JSON.stringify({ ...circumstances(), ...result }, null, 1)}\n`);
}

function finish(result: object, options: Common): void {
  if (options.json) console.log(JSON.stringify(result));
  save(result, options);
  if (options.compare) {
    const slower = compareRuns(JSON.parse(readFileSync(options.compare, "utf8")), result, Number(options.maxSlowdown));
    for (const line of slower) console.error(line);
    process.exitCode = slower.length > 0 ? 1 : 0;
  }
}

/** What a reader of a kept result must know of the run. */
function circumstances() {
  // Files by their names: where they lie is this machine's own affair.
  const command = `npm run bench -- ${process.argv
    .slice(2)
    .map((argument) => basename(argument))
    .join(" ")
    .replace(/ ?--save \S+/, "")}`;
  // Load: processes that wanted a core in the last minute, when the run began and now. On an idle machine it is this one's own.
  const machine = { cores: cpus().length, load: { begin: loadAtStart, end: loadavg()[0] } };
  return { command, date: new Date().toISOString().slice(0, 10), machine };
}

await program.parseAsync();
// Dawn keeps the event loop alive while its GPU object is referenced.
process.exit();
