/**
 * @file What a fresh clone needs before `npm start`, `npm test` and `npm run bench`: packages, a build, a WebGPU adapter.
 * Plain Node, no packages. Says little, on stderr; says nothing when all is there.
 *
 *   node scripts/setup.mjs             packages, build, adapter
 *   node scripts/setup.mjs --driver    the adapter only, with the build there is (for sudo)
 *   node scripts/setup.mjs --build     packages and build only (for npm pack)
 *   --dry-run                          print what would be installed on the system, install nothing of it
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { aptPlan } from "./apt-driver.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
/** Written after a build: what it was made from. */
const stamp = join(root, "dist", ".built-from");
const cache = join(root, "node_modules", ".cache", "limn");
const driverOnly = process.argv.includes("--driver");
const dryRun = process.argv.includes("--dry-run");

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) stop(1, `limn needs Node 20.19 or later, this is ${process.versions.node}`);

if (!driverOnly && !isReady()) {
  // One at a time: two fresh starts beside each other would build into one folder.
  const unlock = lock();
  installPackages();
  build();
  unlock();
}
if (!process.argv.includes("--build")) await findAdapter();

function isReady() {
  return packagesMatch() && existsSync(stamp) && readFileSync(stamp, "utf8") === sourceState();
}

/** Waits for another set-up of this folder, if one is at work, and keeps others waiting until the returned function is called. */
function lock() {
  const name = createHash("sha256").update(`${process.getuid?.()} ${root}`).digest("hex").slice(0, 16);
  const path = join(tmpdir(), `limn-setup-${name}`);
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") return () => undefined;
      if (!isHeld(path)) rmSync(path, { force: true });
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
  let held = true;
  const unlock = () => {
    if (held) rmSync(path, { force: true });
    held = false;
  };
  process.on("exit", unlock);
  return unlock;
}

/** Whether the process that wrote the lock still lives. An empty lock is one that is being written; none is needed for long. */
function isHeld(path) {
  try {
    if (Date.now() - statSync(path).mtimeMs > 600_000) return false;
    const pid = Number(readFileSync(path, "utf8"));
    if (pid > 0) process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** `npm ci`, unless node_modules holds the very versions of the lock file. */
function installPackages() {
  if (packagesMatch()) return;
  say("installing packages (npm ci) ...");
  const npm = process.env.npm_execpath;
  const args = ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
  const done = npm?.endsWith("js")
    ? run(process.execPath, [npm, ...args])
    : run("npm", args, { shell: process.platform === "win32" });
  if (done.status !== 0) stop(1, "npm ci failed", done);
}

/** Compares npm's own record of what it installed with package-lock.json; optional packages of other systems may be missing. */
function packagesMatch() {
  const record = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(record)) return false;
  const installed = JSON.parse(readFileSync(record, "utf8")).packages;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  return Object.entries(wanted).every(([path, { version, optional, peer, devOptional }]) => {
    if (path === "" || ((optional || peer || devOptional) && !installed[path])) return true;
    return installed[path]?.version === version;
  });
}

/** Names, sizes and times of all that the build is made from. */
function sourceState() {
  const state = ["tsconfig.json", "tsconfig.build.json", "package-lock.json", "scripts/bundle.mjs", ...sources()].map((path) => {
    const { size, mtimeMs } = statSync(join(root, path));
    return `${path} ${size} ${mtimeMs}`;
  });
  return state.join("\n");
}

function sources() {
  return ["engine", "kernels", "model", "tokenizer", "cli", "bench"].flatMap((folder) => listFiles(folder));
}

/** Compiles to dist/, unless the last build was made from these very files. */
function build() {
  const now = sourceState();
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === now) return;
  say("building ...");
  rmSync(stamp, { force: true });
  removeOrphans();
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  for (const step of [[compiler, "-p", "tsconfig.build.json"], [join(root, "scripts", "bundle.mjs")]]) {
    const done = run(process.execPath, step);
    if (done.status !== 0) stop(1, "the build failed", done);
  }
  writeFileSync(stamp, now);
}

/** Drops compiled files whose source is gone, so that nothing stale is ever imported. */
function removeOrphans() {
  if (!existsSync(join(root, "dist"))) return;
  const known = new Set(sources().map((path) => path.replace(/\.ts$/, "")));
  for (const path of listFiles("dist")) {
    const source = path.slice("dist/".length).replace(/(\.d\.ts|\.js)(\.map)?$/, "");
    if (/\.(js|d\.ts)(\.map)?$/.test(path) && !known.has(source)) rmSync(join(root, path), { force: true });
  }
}

/** All files below a folder of the project, as paths from its root, with forward slashes. */
function listFiles(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? listFiles(path) : [path];
  });
}

/** Makes sure that Dawn finds an adapter; on Debian and Ubuntu, as root, by installing Mesa's software driver. Exit 5 if not. */
async function findAdapter() {
  const known = join(cache, "adapter");
  const now = JSON.stringify(driverFiles());
  if (!dryRun && existsSync(known) && readFileSync(known, "utf8") === now) return;
  const { thisSystem } = await import("../dist/cli/gpu/node-gpu.js");
  const system = thisSystem();
  let found = probe();
  if (found.code === "NO_ADAPTER" || dryRun) {
    // Where a variable hides the drivers there are, another one would stay hidden too.
    const hidden = !dryRun && ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].some((name) => process.env[name]);
    const plan = hidden ? undefined : aptPlan(system);
    if (dryRun) {
      for (const step of plan?.steps ?? []) say(`would run: ${step.say}`);
      if (!plan) say("would install nothing: not Debian or Ubuntu, or not root");
    } else if (plan) {
      say(`no graphics driver found: installing Mesa's software Vulkan driver (${plan.source}) ...`);
      for (const step of plan.steps) {
        const done = step.run();
        if (done && done.status !== 0) stop(5, `this failed: ${step.say}`, done);
      }
      found = probe();
    }
  }
  if (found.code) {
    // On Debian 12 the way takes several steps, and this script knows them.
    const self = system.id === "debian" && system.version === "12" && process.getuid?.() !== 0;
    const hint = found.code === "NO_ADAPTER" && self ? `run: sudo "${process.execPath}" scripts/setup.mjs --driver` : found.hint;
    process.stderr.write(`error[${found.code}]: ${found.message}\nhint: ${hint}\n`);
    process.exit(5);
  }
  if (found.software) say(`no GPU found, the CPU does the work: ${found.name}`);
  if (driverOnly) return; // sudo's files would be in the user's way
  mkdirSync(cache, { recursive: true });
  writeFileSync(known, JSON.stringify(driverFiles()));
}

/** Whatever changes when drivers come and go: the loader's folders, its variables, Dawn's and Node's versions. */
function driverFiles() {
  const home = process.env.XDG_DATA_HOME ?? join(process.env.HOME ?? "", ".local", "share");
  const folders = ["/etc", "/usr/share", "/usr/local/share", home].map((folder) => join(folder, "vulkan", "icd.d"));
  const files = folders.flatMap((folder) => (existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []));
  const dawn = join(root, "node_modules", "webgpu", "package.json");
  const variables = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES", "DAWNNODE_BACKEND"];
  return [
    process.version,
    process.arch,
    ...variables.map((name) => process.env[name] ?? ""),
    ...[dawn, ...files].map((path) => `${path} ${statSync(path, { throwIfNoEntry: false })?.mtimeMs}`),
  ];
}

function probe() {
  const answer = join(tmpdir(), `limn-probe-${process.pid}.json`);
  const done = run(process.execPath, [join(root, "scripts", "probe-adapter.mjs"), answer], { timeout: 60_000 });
  try {
    return JSON.parse(readFileSync(answer, "utf8"));
  } catch {
    const how = done.signal ? `was ended by ${done.signal}` : `ended with ${done.status}`;
    return {
      code: "NO_ADAPTER",
      message: `looking for an adapter ${how}`,
      hint: lastLines(done) || "run: node dist/cli/main.js doctor",
    };
  } finally {
    rmSync(answer, { force: true });
  }
}

function run(command, args, options = {}) {
  return spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 64 << 20,
    ...options,
  });
}

function lastLines(done) {
  return `${done.stdout ?? ""}${done.stderr ?? ""}${done.error?.message ?? ""}`.trim().split("\n").slice(-20).join("\n");
}

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function stop(code, text, done) {
  say(text);
  if (done) process.stderr.write(`${lastLines(done)}\n`);
  process.exit(code);
}
