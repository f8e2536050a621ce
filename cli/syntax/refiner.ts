/** @file Options of the second model that makes the last steps. */
import type { Command } from "commander";
import { UsageError } from "../../engine/errors.ts";
import { defaultRefinerAt } from "../../model/picture/refiner.ts";
import { decimalNumber } from "./numbers.ts";
import type { Txt2imgOptions } from "./options.ts";
import { number, type Values } from "./shared.ts";

export function addRefinerOptions(command: Command): void {
  command
    .option("--refiner <file>", "a second model for the last steps: SDXL's refiner, or any other of the same latent space")
    .addOption(
      number(
        "--refiner-at <share>",
        `when it takes over, 0 to 1 (default: ${defaultRefinerAt})`,
        decimalNumber("refiner-at", { min: 0, max: 1, hint: `${defaultRefinerAt} leaves it the last fifth of the noise levels` }),
      ),
    );
}

/** @throws UsageError REFINER_INCOMPLETE */
export function refinerValues(values: Values): Pick<Txt2imgOptions, "refiner" | "refinerAt"> {
  const refiner = values["refiner"] as string | undefined;
  const refinerAt = values["refinerAt"] as number | undefined;
  if (refiner !== undefined || refinerAt === undefined) return { refiner, refinerAt };
  throw new UsageError("REFINER_INCOMPLETE", "--refiner-at is given, --refiner is not", {
    hint: "add --refiner sd_xl_refiner_1.0.safetensors",
  });
}
