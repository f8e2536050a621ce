import type { SpawnSyncReturns } from "node:child_process";
import type { System } from "../cli/gpu/driver-advice.ts";

export interface Source {
  readonly uri: string;
  readonly suites: readonly string[];
  /** What stands between the brackets of the one-line format. */
  readonly options: string;
}

export interface AptPlan {
  /** Where the driver comes from, for people. */
  readonly source: string;
  readonly steps: readonly { readonly say: string; run(): SpawnSyncReturns<string> | undefined }[];
}

export function aptPlan(system: System, options?: { apt?: string; root?: boolean }): AptPlan | undefined;
export function backportsLine(source: Pick<Source, "uri" | "options">): string;
export function readSources(apt: string): Source[];
export function parseOneLine(text: string): Source[];
export function parseDeb822(text: string): Source[];
