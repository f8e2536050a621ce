/**
 * @file `npm run make-checkpoint -- --family sd15|sd21|sdxl|sdxl-refiner -o FILE [--seed N]`: writes a checkpoint of true size and layout with
 * seeded random weights, to test loading, memory and speed without a download. Same seed, same bytes. 2.1, 2.6 and 6.9 GB.
 */
import { open, rename, rm } from "node:fs/promises";
import { Command, InvalidArgumentError, Option } from "commander";
import { type StandInFamily, standIn, standInFamilies } from "../model/checkpoint/stand-in.ts";

const chunk = 16 * 1024 * 1024;

const command = new Command("make-checkpoint")
  .description("Writes a checkpoint of true size with seeded random weights.")
  .addOption(new Option("--family <family>", "whose layout").choices([...standInFamilies]).makeOptionMandatory())
  .requiredOption("-o, --output <file>", "where to write it")
  .addOption(new Option("--seed <number>", "0 to 4294967295").argParser(parseSeed).default(0))
  .parse();
const options = command.opts<{ family: StandInFamily; output: string; seed: number }>();

const source = standIn(options.family, options.seed);
const partial = `${options.output}.tmp-${process.pid}`;
const start = performance.now();
try {
  const file = await open(partial, "wx");
  try {
    for (let at = 0; at < source.size; at += chunk)
      await file.writeFile(await source.read(at, Math.min(source.size, at + chunk)));
  } finally {
    await file.close();
  }
  await rename(partial, options.output);
} catch (error) {
  await rm(partial, { force: true });
  throw error;
}
const seconds = (performance.now() - start) / 1000;
console.log(`${options.output}: ${source.name}, ${source.size} bytes, ${(source.size / 1e6 / seconds).toFixed(0)} MB/s`);

function parseSeed(text: string): number {
  const seed = Number(text);
  if (/^\d+$/.test(text) && seed <= 0xffffffff) return seed;
  throw new InvalidArgumentError("it is a whole number from 0 to 4294967295");
}
