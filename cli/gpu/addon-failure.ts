/**
 * @file Why the `webgpu` addon (Dawn as a Node module, one shared library) did not load, in words: the loader's message
 * names the missing symbol or library, the cure depends on which.
 */
import { AdapterError } from "../../engine/errors.ts";

interface Cause {
  readonly pattern: RegExp;
  explain(match: RegExpExecArray): { readonly fact: string; readonly hint: string };
}

const causes: readonly Cause[] = [
  {
    pattern: /version [`'](GLIBC_[\d.]+)' not found/,
    explain: (match) => ({
      fact: `this system's C library lacks ${match[1]}`,
      hint: "Dawn needs glibc 2.34 or later: Debian 12, Ubuntu 22.04, Fedora 35 or newer, or such a container",
    }),
  },
  {
    pattern: /version [`'](GLIBCXX_[\d.]+|CXXABI_[\d.]+)' not found/,
    explain: (match) => ({
      fact: `this system's libstdc++ lacks ${match[1]}`,
      hint: "Dawn needs libstdc++ of GCC 12 or later: Debian 12, Ubuntu 22.04 or newer, or such a container",
    }),
  },
  {
    pattern: /ld-linux|ld-musl|__\w+_chk: symbol not found|fcntl64: symbol not found/,
    explain: (match) => ({
      fact: `the system's C library is not glibc (${match[0]})`,
      hint: "musl systems such as Alpine can't load Dawn: use an image with glibc, e.g. node:20-bookworm-slim",
    }),
  },
  {
    pattern: /(lib[\w.+-]+\.so[\w.]*): cannot open shared object file/,
    explain: (match) => ({
      fact: `the library ${match[1]} is missing`,
      hint: `install the system package that holds ${match[1]}`,
    }),
  },
  {
    pattern: /wrong ELF class|invalid ELF header|incompatible architecture|not a valid Win32 application|mach-o/i,
    explain: () => ({
      fact: `it is built for another processor than this Node (${process.platform}-${process.arch})`,
      hint: "use a 64-bit Node for x64 or arm64 that fits your machine, then: npm ci",
    }),
  },
  {
    pattern: /undefined symbol: (\S+)/,
    explain: (match) => ({ fact: `the symbol ${match[1]} is undefined`, hint: "update Node to 20.19 or later, then: npm ci" }),
  },
];

/** Turns the loader's error into an AdapterError with code ADDON_LOAD (exit 5) that names the missing thing and the cure. */
export function explainAddonFailure(error: unknown): AdapterError {
  const text = error instanceof Error ? error.message : String(error);
  for (const cause of causes) {
    const match = cause.pattern.exec(text);
    if (!match) continue;
    const { fact, hint } = cause.explain(match);
    return new AdapterError("ADDON_LOAD", `the webgpu addon does not load: ${fact}`, {
      hint,
      context: { loader: text },
      cause: error,
    });
  }
  if (/Cannot find (module|package)/.test(text)) {
    const fact = /dawn\.node/.test(text) ? `it has no build for ${process.platform}-${process.arch}` : "it is not installed";
    const hint = /dawn\.node/.test(text) ? "builds exist for Linux and Windows on x64 and arm64, and for macOS" : "run: npm ci";
    return new AdapterError("ADDON_LOAD", `the webgpu addon does not load: ${fact}`, {
      hint,
      context: { loader: text },
      cause: error,
    });
  }
  return new AdapterError("ADDON_LOAD", `the webgpu addon does not load: ${text.split("\n")[0]}`, {
    hint: "run: npm ci, then: limn doctor",
    context: { loader: text },
    cause: error,
  });
}
