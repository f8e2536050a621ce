/** @file Which pictures a terminal can show. */

export const terminalKinds = ["kitty", "iterm2", "blocks"] as const;
/** kitty's graphics protocol, iTerm2's inline images, or half blocks of text in colour. */
export type TerminalKind = (typeof terminalKinds)[number];

type Environment = Readonly<Record<string, string | undefined>>;

/** By what terminals say of themselves; inside tmux and screen, which let no pictures through, half blocks. */
export function terminalKind(environment: Environment): TerminalKind {
  const { TERM = "", TERM_PROGRAM = "", LC_TERMINAL = "", KITTY_WINDOW_ID, TMUX } = environment;
  if (TMUX || /^(screen|tmux)/.test(TERM)) return "blocks";
  if (KITTY_WINDOW_ID || /kitty|ghostty/i.test(TERM) || /ghostty/i.test(TERM_PROGRAM)) return "kitty";
  if (TERM_PROGRAM === "iTerm.app" || TERM_PROGRAM === "WezTerm" || LC_TERMINAL === "iTerm2") return "iterm2";
  return "blocks";
}

/** Whether it shows 16 million colours; else it gets 256. */
export function showsAllColours({ COLORTERM = "" }: Environment): boolean {
  return /truecolor|24bit/i.test(COLORTERM);
}
