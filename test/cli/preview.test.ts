/** @file Previews in terminals: what is written, byte by byte. */
import { describe, expect, it } from "vitest";
import { decodePng, encodePng } from "../../cli/png/png.ts";
import { halfBlocks } from "../../cli/preview/half-blocks.ts";
import { iterm2Image, kittyImage } from "../../cli/preview/inline-images.ts";
import { showsAllColours, terminalKind } from "../../cli/preview/terminal-kind.ts";
import { TerminalPreview } from "../../cli/preview/terminal-preview.ts";
import { parseArguments } from "../../cli/syntax/arguments.ts";
import type { LimnError } from "../../engine/errors.ts";
import type { Raster } from "../../model/image/index.ts";

const escape_ = "\u001b";

/** Upper half red, lower half blue. */
function flag(side: number): Raster {
  const data = Uint8Array.from({ length: 3 * side * side }, (_, i) => {
    const upper = i < (3 * side * side) / 2;
    return i % 3 === (upper ? 0 : 2) ? 255 : 0;
  });
  return { width: side, height: side, channels: 3, data };
}

describe("half blocks", () => {
  it("show two pixels a character, and say a colour once", () => {
    const lines = halfBlocks(flag(4), { columns: 4, rows: 2 }, true);
    expect(lines).toEqual([
      `${escape_}[38;2;255;0;0;48;2;255;0;0m▀▀▀▀${escape_}[0m`,
      `${escape_}[38;2;0;0;255;48;2;0;0;255m▀▀▀▀${escape_}[0m`,
    ]);
  });

  it("take the nearest of 256 colours where there are no more", () => {
    const grey: Raster = {
      width: 2,
      height: 2,
      channels: 3,
      data: Uint8Array.of(255, 0, 0, 255, 0, 0, 95, 135, 175, 95, 135, 175),
    };
    expect(halfBlocks(grey, { columns: 2, rows: 1 }, false)).toEqual([`${escape_}[38;5;196;48;5;67m▀▀${escape_}[0m`]);
  });
});

describe("pictures in the terminal", () => {
  const noisy: Raster = {
    width: 64,
    height: 64,
    channels: 3,
    data: Uint8Array.from({ length: 12288 }, (_, i) => (i * i * 31) % 251),
  };
  const png = encodePng(noisy);

  it("kitty: in pieces of 4096 characters, of which the last says so", () => {
    const text = kittyImage(png, { columns: 20, rows: 10 }, 7161);
    const parts = [...text.matchAll(new RegExp(`${escape_}_G([^;]*);([^${escape_}]*)${escape_}\\\\`, "g"))];
    expect(parts.map(([whole]) => whole).join("")).toBe(text);
    expect(parts.length).toBeGreaterThan(2);
    expect(parts[0]![1]).toBe("a=T,f=100,i=7161,p=1,c=20,r=10,C=1,q=2,m=1");
    expect(parts.slice(1).map(([, keys]) => keys)).toEqual([...Array<string>(parts.length - 2).fill("q=2,m=1"), "q=2,m=0"]);
    for (const [, , data] of parts.slice(0, -1)) expect(data!.length).toBe(4096); // a multiple of 4, as asked for
    expect(parts.at(-1)![2]!.length).toBeLessThanOrEqual(4096);
    const bytes = Buffer.from(parts.map(([, , data]) => data).join(""), "base64");
    expect(decodePng(bytes).width).toBe(64);
  });

  it("iTerm2: one sequence", () => {
    const text = iterm2Image(png, { columns: 20, rows: 10 });
    expect(text.startsWith(`${escape_}]1337;File=inline=1;size=${png.length};width=20;height=10;preserveAspectRatio=0:`)).toBe(
      true,
    );
    expect(text.endsWith("\u0007")).toBe(true);
  });
});

describe("the block above the progress line", () => {
  function terminal(kind: "kitty" | "iterm2" | "blocks", columns = 80, lines = 24) {
    let written = "";
    const preview = new TerminalPreview({
      kind,
      allColours: true,
      columns,
      lines,
      write: (text) => (written += text),
      imageId: 9,
    });
    return {
      preview,
      take: () => {
        const text = written;
        written = "";
        return text;
      },
    };
  }

  it("makes room once, then draws over what it drew", () => {
    const { preview, take } = terminal("blocks");
    preview.show(flag(16));
    const first = take();
    const rows = [...first.matchAll(/\r\n/g)].length;
    expect(rows).toBe(22); // two lines less than the terminal has
    expect(first.startsWith(`${"\n".repeat(rows)}${escape_}[${rows}A\r`)).toBe(true);
    preview.show(flag(16));
    expect(take()).toBe(`${escape_}[${rows}A${first.slice(first.indexOf("\r"))}`);
    preview.keep();
    preview.show(flag(16));
    expect(take()).toBe(first);
  });

  it("keeps the proportions, and fits small terminals", () => {
    for (const [columns, lines] of [
      [20, 50],
      [300, 8],
      [1, 1],
    ] as const) {
      const { preview, take } = terminal("blocks", columns, lines);
      preview.show(flag(16));
      const drawn = take().split("\r\n").slice(0, -1);
      const width = [...(drawn[0] ?? "")].filter((character) => character === "▀").length;
      expect(width).toBeLessThanOrEqual(Math.max(columns - 1, 2));
      expect(drawn.length).toBeLessThanOrEqual(Math.max(lines - 2, 1));
      expect(Math.abs(width / 2 - drawn.length)).toBeLessThanOrEqual(0.5);
    }
  });

  it("leaves the cursor below a picture", () => {
    for (const kind of ["kitty", "iterm2"] as const) {
      const { preview, take } = terminal(kind);
      preview.show(flag(16));
      const text = take();
      const rows = Number(/\[(\d+)A/.exec(text)![1]);
      expect(text.endsWith(`${escape_}8${"\n".repeat(rows)}`)).toBe(true);
    }
  });
});

describe("kitty's images", () => {
  it("take the place of the same picture's, and leave those of earlier pictures", () => {
    let written = "";
    const write = (text: string) => (written += text);
    const preview = new TerminalPreview({ kind: "kitty", allColours: true, columns: 80, lines: 24, write, imageId: 9 });
    preview.show(flag(16));
    preview.show(flag(16));
    preview.keep();
    preview.show(flag(16));
    expect([...written.matchAll(/,i=(\d+),/g)].map((match) => match[1])).toEqual(["9", "9", "10"]);
  });
});

describe("which terminal it is", () => {
  it.each<[Record<string, string>, string]>([
    [{}, "blocks"],
    [{ TERM: "xterm-256color" }, "blocks"],
    [{ TERM: "xterm-kitty" }, "kitty"],
    [{ KITTY_WINDOW_ID: "1" }, "kitty"],
    [{ TERM_PROGRAM: "ghostty" }, "kitty"],
    [{ TERM_PROGRAM: "iTerm.app" }, "iterm2"],
    [{ TERM_PROGRAM: "WezTerm" }, "iterm2"],
    [{ LC_TERMINAL: "iTerm2" }, "iterm2"],
    [{ TERM_PROGRAM: "iTerm.app", TMUX: "socket,1,0" }, "blocks"],
    [{ KITTY_WINDOW_ID: "1", TERM: "screen-256color" }, "blocks"],
  ])("%o: %s", (environment, kind) => expect(terminalKind(environment)).toBe(kind));

  it("says whether it has all colours", () => {
    expect([{ COLORTERM: "truecolor" }, { COLORTERM: "24bit" }, {}].map(showsAllColours)).toEqual([true, true, false]);
  });
});

describe("options", () => {
  const preview = (...words: string[]) => {
    const { options } = parseArguments(["txt2img", "x", ...words], "1");
    return "preview" in options ? options.preview : undefined;
  };
  const codeOf = (...words: string[]) => {
    try {
      preview(...words);
    } catch (error) {
      return (error as LimnError).code;
    }
    return "accepted";
  };

  it("ask for one each, and go together", () => {
    expect(preview()).toEqual({ kind: "none", every: 1, file: undefined, terminal: "auto" });
    expect(preview("--preview", "vae")).toMatchObject({ kind: "vae" });
    expect(preview("--preview-file", "p.png")).toMatchObject({ kind: "latent", file: "p.png" });
    expect(preview("--preview-every", "5", "--preview-terminal", "kitty", "--preview", "none")).toMatchObject({
      kind: "none",
      every: 5,
    });
  });

  it("are checked", () => {
    expect(codeOf("--preview", "big")).toBe("INVALID_PREVIEW");
    expect(codeOf("--preview-every", "0")).toBe("INVALID_PREVIEW_EVERY");
    expect(codeOf("--preview-terminal", "vt100")).toBe("INVALID_PREVIEW_TERMINAL");
  });
});
