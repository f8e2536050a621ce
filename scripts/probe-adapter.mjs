/**
 * @file Opens an adapter with the built command's own code and prints what came of it as JSON: {name, software}, or
 * {code, message, hint}. A process of its own, so that a driver that crashes or prints can't hurt its parent.
 */
import { writeFileSync } from "node:fs";
import { openGpu } from "../dist/cli/gpu/node-gpu.js";
import { adapterName } from "../dist/engine/adapter-name.js";

let answer;
try {
  const { adapter, software } = await openGpu();
  answer = { name: adapterName(adapter.info), software };
} catch (error) {
  answer = { code: error.code ?? "PROBE", message: error.message, hint: error.hint ?? "" };
}
writeFileSync(process.argv[2], JSON.stringify(answer));
