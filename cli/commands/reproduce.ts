/** @file `limn reproduce`. */
import type { CommandContext, ReproduceOptions } from "../options.ts";

export async function run(_options: ReproduceOptions, _context: CommandContext): Promise<void> {}
