/** @file The bench's commands, kernels, step, host, gpu, image, load and roofline: how fast limn is on this machine, with the numbers to compare. */
import { statSync, writeFileSync } from "node:fs";
import { Command, Option } from "commander";
import { exitCodes } from "../cli/terminal/exit-codes.ts";
import { guardStdout, writeStdout } from "../cli/terminal/stdout.ts";
import { adapterName, type Device, UsageError } from "../engine/index.ts";
import { batchOption, type Common, casesNamed, checkFiles, peakOption, runsOption, sizeOption, timedCommand } from "./choices.ts";
import { expectFile, expectPlaceFor, readKept } from "./files.ts";
import { finish, save } from "./finish.ts";
import { type GoalSet, goalSets } from "./goals.ts";
import { benchDevice } from "./gpu.ts";
import { benchGpu } from "./gpu-report.ts";
import { benchHost } from "./host.ts";
import { benchImage } from "./image.ts";
import { benchKernels, benchPeerShapes } from "./kernels.ts";
import { benchLoad } from "./load.ts";
import { repeatLoad } from "./load-runs.ts";
import { drawRoofline, isKeptKernels } from "./roofline.ts";
import { type BenchFamily, families, familyCases, familySize, peerCases, type ShapeSet } from "./shapes.ts";
import { benchStep, type StepOptions } from "./step.ts";

interface KernelChoices extends Common {
  readonly family: ShapeSet;
  readonly size?: number;
  readonly rungs: "all" | "best";
  readonly peerShapes?: boolean;
}

interface StepChoices extends Common {
  readonly family: BenchFamily;
  readonly size?: number;
  readonly batch: number;
  readonly runs: number;
}

interface GpuChoices extends StepChoices {
  readonly goals?: GoalSet;
  readonly peak?: number;
  readonly python: string;
  readonly peerDevice: "cuda" | "cpu";
}

/** To be parsed once. Wrong options are thrown, as a CommanderError or a UsageError. */
export function makeProgram(): Command {
  const program = new Command("bench")
    .description("Times limn's kernels and pictures on this machine's adapter.")
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    // Dawn writes messages of its own to stdout, where the JSON goes.
    .hook("preAction", (_, command) => {
      if (command.opts<Partial<Common>>().json) guardStdout();
    });

  timedCommand(program, "kernels", "every expensive shape: validated, then timed by GPU timestamps")
    .argument("[name]", "only cases whose name has this in it")
    .addOption(new Option("--family <family>", "whose shapes").choices([...families, "peer"]).default("sd15"))
    .addOption(sizeOption())
    .addOption(
      new Option("--rungs <which>", "all rungs, or the one that would be picked").choices(["all", "best"]).default("all"),
    )
    .option("--peer-shapes", "the shapes of the ONNX Runtime peer, wall clock with upload and read-back")
    .action(async (name: string | undefined, options: KernelChoices) => {
      const { family, size = familySize[family], rungs, peerShapes } = options;
      const cases = casesNamed(peerShapes ? peerCases : familyCases(family, size), name);
      const subject = peerShapes ? {} : { family, size };
      const names = cases.map((benchCase) => benchCase.name);
      const kept = checkFiles(options, subject, names);
      const log = logOf(options);
      const device = await benchDevice(options);
      const header = headerOf(device);
      log(Object.values(header).join(", "));
      const report = await (peerShapes
        ? benchPeerShapes(device, cases, log).then((rows) => ({ rows }))
        : benchKernels(device, cases, rungs, log));
      await finish({ ...header, ...subject, ...report }, options, kept);
    });

  stepCommand(
    timedCommand(
      program,
      "step",
      "one denoising step with synthetic weights: in all, by kernel, by block, and what the host does",
    ),
    { family: "sd15", runs: runsOption("timed steps; fast ones are run many at a time", 5) },
    benchStep,
  );
  stepCommand(
    timedCommand(
      program,
      "host",
      "encoding of a step, beside the state of the core that does it: its other half may be another's",
    ),
    { family: "embedded", runs: runsOption("times that a picture's steps are encoded", 400) },
    benchHost,
  );

  timedCommand(
    program,
    "gpu",
    "what is asked of a GPU, in one run: steps of every tier that it has, the kernels of the best, beside goals and PyTorch",
  )
    .argument("[name]", "only kernels whose name has this in it")
    .addOption(new Option("--family <family>", "whose U-Net and shapes").choices([...families]).default("sd15"))
    .addOption(sizeOption())
    .addOption(batchOption())
    .addOption(runsOption("timed steps; fast ones are run many at a time", 5))
    .addOption(new Option("--goals <set>", "whose goals (default: by the adapter's name)").choices([...goalSets]))
    .addOption(peakOption())
    .option("--python <command>", "a Python with PyTorch, which is timed beside", "python3")
    .addOption(new Option("--peer-device <device>", "where PyTorch computes").choices(["cuda", "cpu"]).default("cuda"))
    .action(async (name: string | undefined, options: GpuChoices) => {
      const { family, size = familySize[family], batch, runs, goals, peak, tier, precision, python } = options;
      casesNamed(familyCases(family, size, batch), name);
      const subject = { family, size, batch };
      const kept = checkFiles(options, subject);
      const peer = { python, device: options.peerDevice };
      const report = await benchGpu({ ...subject, runs, goals, peak, tier, precision, peer, name }, logOf(options), (sofar) =>
        save({ ...subject, ...sofar }, options),
      );
      if (report.failures.length > 0) process.exitCode = exitCodes.bug;
      await finish({ ...subject, ...report }, options, kept);
    });

  timedCommand(program, "image", "a picture of the embedded checkpoint, cold and warm, by stage")
    .addOption(runsOption("warm pictures", 3))
    .option("-m, --model <file>", "another checkpoint")
    .action(async (options: Common & { runs: number; model?: string }) => {
      const { runs, model } = options;
      if (model !== undefined) expectFile(model);
      const kept = checkFiles(options, {});
      const device = await benchDevice(options);
      const result = { ...headerOf(device), ...(await benchImage(device, runs, model)) };
      if (!options.json) console.log(result);
      await finish(result, options, kept);
    });

  timedCommand(program, "load", "a checkpoint's weights to the GPU, beside reading the file and copying it")
    .requiredOption("-m, --model <file>", "the checkpoint")
    .addOption(runsOption("loads, each in a process of its own; the quickest counts", 3))
    .addOption(new Option("--once", "one load, in this process").hideHelp())
    .action(async (options: Common & { model: string; runs: number; once?: boolean }) => {
      expectFile(options.model);
      const kept = checkFiles(options, { fileBytes: statSync(options.model).size });
      const device = await benchDevice(options);
      if (options.once) {
        await writeStdout(`${JSON.stringify(await benchLoad(device, options.model))}\n`);
        return;
      }
      const log = logOf(options);
      const header = headerOf(device);
      log(Object.values(header).join(", "));
      device.close();
      const report = repeatLoad(options.runs, log);
      if (!options.json) console.log(report);
      await finish({ ...header, ...report }, options, kept);
    });

  program
    .command("roofline")
    .description("draws a kept run of `bench kernels` as SVG")
    .argument("<file>", "what --save wrote")
    .requiredOption("-o, --output <file>", "the picture")
    .action((file: string, { output }: { output: string }) => {
      const kept = readKept(file);
      if (!isKeptKernels(kept)) {
        const hint = "npm run bench -- kernels --save FILE makes one";
        throw new UsageError("INVALID_KEPT_RUN", `${file}: this is no kept run of \`bench kernels\``, { hint });
      }
      expectPlaceFor(output);
      writeFileSync(output, drawRoofline(kept));
    });
  return program;
}

/** What `step` and `host` share: a U-Net at a size, on one device. */
function stepCommand(
  command: Command,
  defaults: { readonly family: BenchFamily; readonly runs: Option },
  measure: (device: Device, options: StepOptions, log: (line: string) => void) => Promise<object>,
): void {
  command
    .addOption(new Option("--family <family>", "whose U-Net").choices([...families]).default(defaults.family))
    .addOption(sizeOption())
    .addOption(batchOption())
    .addOption(defaults.runs)
    .action(async (options: StepChoices) => {
      const { family, size = familySize[family], batch, runs } = options;
      const kept = checkFiles(options, { family, size, batch });
      const log = logOf(options);
      const device = await benchDevice(options);
      const header = headerOf(device);
      log([...Object.values(header), family, `${size}x${size}`, `batch ${batch}`].join(", "));
      const report = await measure(device, { family, size, batch, runs }, log);
      await finish({ ...header, family, size, batch, ...report }, options, kept);
    });
}

/** Where lines for people go. */
function logOf({ json }: Common): (line: string) => void {
  return json ? (line) => console.error(line) : (line) => console.log(line);
}

function headerOf({ info, tier, storage }: Device) {
  return { adapter: adapterName(info), tier, precision: storage };
}
