/**
 * @file How Debian and Ubuntu get Mesa's software Vulkan driver: the steps, each with the words that describe it. The
 * backports source for Debian 12 is derived from the sources that this machine already has.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const packages = ["mesa-vulkan-drivers", "libvulkan1"];
const suite = "bookworm-backports";

/**
 * Undefined where this user may not install packages or apt is not the tool.
 */
export function aptPlan(system, { apt = "/etc/apt", root = process.getuid?.() === 0 } = {}) {
  const like = [system.id, ...system.like];
  if (system.platform !== "linux" || !root || !(like.includes("debian") || like.includes("ubuntu"))) return undefined;
  if (!existsSync("/usr/bin/apt-get")) return undefined;
  const steps = [];
  const fromBackports = system.id === "debian" && system.version === "12";
  const target = fromBackports ? ["-t", suite] : [];
  if (fromBackports) {
    const sources = readSources(apt);
    if (!sources.some((source) => source.suites.includes(suite))) {
      const base = sources.find((source) => source.suites.includes("bookworm") && !source.uri.startsWith("cdrom:"));
      if (!base) return undefined;
      const line = backportsLine(base);
      const file = join(apt, "sources.list.d", "bookworm-backports.list");
      steps.push({ say: `echo '${line}' > ${file}`, run: () => void writeFileSync(file, `${line}\n`) });
    }
  }
  steps.push(aptGet("update", "-qq"), aptGet("install", "-y", "-qq", "--no-install-recommends", ...target, ...packages));
  return { source: fromBackports ? suite : system.name, steps };
}

function aptGet(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  return {
    say: `apt-get ${args.join(" ")}`,
    run: () => spawnSync("apt-get", args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 64 << 20 }),
  };
}

/** The one-line source for backports beside a source of Debian itself: same place, same options (keys, trust). */
export function backportsLine({ uri, options }) {
  return `deb ${options ? `[${options}] ` : ""}${uri} ${suite} main`;
}

/** Every enabled binary source of sources.list and sources.list.d, of both formats. */
export function readSources(apt) {
  const folder = join(apt, "sources.list.d");
  const names = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  return [join(apt, "sources.list"), ...names].flatMap((path) => {
    if (!existsSync(path)) return [];
    if (path.endsWith(".list")) return parseOneLine(readFileSync(path, "utf8"));
    return path.endsWith(".sources") ? parseDeb822(readFileSync(path, "utf8")) : [];
  });
}

/** `deb [options] uri suite component...`, one a line (sources.list(5)). */
export function parseOneLine(text) {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)/.exec(line);
    return match ? [{ uri: match[2], suites: [match[3]], options: (match[1] ?? "").trim() }] : [];
  });
}

/** Stanzas of `Field: value`, parted by empty lines; a line that starts with a blank goes on with the field before. */
export function parseDeb822(text) {
  return text.split(/\n[ \t]*\n/).flatMap((stanza) => {
    const fields = new Map();
    let name = "";
    for (const line of stanza.split("\n")) {
      if (line.startsWith("#")) continue;
      const field = /^([A-Za-z-]+):(.*)$/.exec(line);
      if (field) name = field[1].toLowerCase();
      if (name) fields.set(name, `${fields.get(name) ?? ""} ${field ? field[2].trim() : line.trim()}`.trim());
    }
    const words = (field) => (fields.get(field) ?? "").split(/\s+/).filter(Boolean);
    if (!words("types").includes("deb") || /^(no|false|0|off)$/i.test(fields.get("enabled") ?? "yes")) return [];
    // A key written into the stanza itself has no place on one line; Debian's own keyring file does the same.
    const key = fields.get("signed-by") ?? "";
    const embedded = key.includes("BEGIN PGP");
    const options = [
      key && !embedded ? `signed-by=${key.split(/\s+/).join(",")}` : "",
      fields.has("trusted") ? `trusted=${fields.get("trusted")}` : "",
      fields.has("check-valid-until") ? `check-valid-until=${fields.get("check-valid-until")}` : "",
    ];
    return words("uris").map((uri) => ({ uri, suites: words("suites"), options: options.filter(Boolean).join(" ") }));
  });
}
