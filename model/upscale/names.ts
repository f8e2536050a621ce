/**
 * @file The names of an upscaler's tensors, whoever trained it, as BasicSR writes them: `conv_first`, `body.N.rdbI.convJ`, `conv_body`,
 * `conv_up1`.., `conv_hr`, `conv_last`. Other layouts of the same network: ESRGAN's first release (xinntao/ESRGAN, `model.1.sub.N...`)
 * and its cleaned one (`RRDB_trunk.N...`).
 */
import { renamed } from "../checkpoint/joined-source.ts";
import type { SafetensorsFile } from "../checkpoint/safetensors.ts";

/** What trainers wrap the tensors in; where a file has the moving average beside the plain weights, that is the better one. */
const wrappers = ["params_ema.", "params-ema.", "params.", "state_dict.", ""] as const;
const inner = ["", "module."] as const;
/** One of these is in every network that is known here. */
const firsts = ["conv_first.weight", "model.0.weight", "body.0.weight"] as const;

/** The path under which the network stands, with its dot; undefined where no known network is in the file. */
export function networkPath(names: { has(name: string): boolean }): string | undefined {
  return wrappers
    .flatMap((wrapper) => inner.map((module) => wrapper + module))
    .find((path) => firsts.some((name) => names.has(path + name)));
}

/** The file with the network's tensors alone, under BasicSR's names. */
export function withPlainNames(file: SafetensorsFile, path: string): SafetensorsFile {
  const own = new Map([...file.tensors].filter(([name]) => name.startsWith(path)));
  const short = renamed({ ...file, tensors: own }, (name) => name.slice(path.length));
  const rename = short.tensors.has("model.0.weight") ? fromFirstRelease(short.tensors.keys()) : fromCleaned;
  return renamed(short, rename);
}

/** The layers of the first release are numbered, activations and doublings counted in; the last two convolutions are `hr` and `last`. */
function fromFirstRelease(names: Iterable<string>): (name: string) => string {
  const numbers = [...names].flatMap((name) => /^model\.(\d+)\.weight$/.exec(name)?.[1] ?? []).map(Number);
  const layers = [...new Set(numbers)].sort((a, b) => a - b);
  const roles = new Map(layers.map((layer, i) => [layer, roleOf(i, layers.length)]));
  return (name) => {
    const block = /^model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d|1x1)(?:\.0)?\.(weight|bias)$/.exec(name);
    if (block) return `body.${block[1]}.rdb${block[2]}.conv${block[3]}.${block[4]}`;
    const trunk = /^model\.1\.sub\.\d+\.(weight|bias)$/.exec(name);
    if (trunk) return `conv_body.${trunk[1]}`;
    const layer = /^model\.(\d+)\.(weight|bias)$/.exec(name);
    const role = layer && roles.get(Number(layer[1]));
    return role ? `${role}.${layer[2]}` : name;
  };
}

function roleOf(index: number, count: number): string {
  if (index === 0) return "conv_first";
  if (index === count - 1) return "conv_last";
  return index === count - 2 ? "conv_hr" : `conv_up${index}`;
}

function fromCleaned(name: string): string {
  return name
    .replace(/^RRDB_trunk\.(\d+)\.RDB(\d)\./, "body.$1.rdb$2.")
    .replace(/^trunk_conv\./, "conv_body.")
    .replace(/^upconv(\d)\./, "conv_up$1.")
    .replace(/^HRconv\./, "conv_hr.");
}
