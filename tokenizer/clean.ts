import { unescapeClosedReferences, unescapeHtml } from "./entities.ts";
import { repairMojibake } from "./mojibake.ts";
import { normalize } from "./normalize.ts";
import { characterOfWindows1252 } from "./windows-1252.ts";

/** Ligatures and digraphs of Latin letters that ftfy takes apart. */
const ligatures: ReadonlyMap<string, string> = new Map(
  Object.entries({
    ...{ "\u0132": "IJ", "\u0133": "ij", "\u0149": "\u02bcn", "\u01f1": "DZ", "\u01f2": "Dz", "\u01f3": "dz" },
    ...{ "\u01c4": "D\u017d", "\u01c5": "D\u017e", "\u01c6": "d\u017e", "\u01c7": "LJ", "\u01c8": "Lj", "\u01c9": "lj" },
    ...{ "\u01ca": "NJ", "\u01cb": "Nj", "\u01cc": "nj", "\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl" },
    ...{ "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "\u017ft", "\ufb06": "st" },
  }),
);

const escapeCharacter = String.fromCharCode(0x1b);
const terminalEscape = new RegExp(`${escapeCharacter}\\[[\\p{Nd};]*[a-zA-Z]`, "gu");

/** C0 controls but for tab and line breaks, DEL, and characters that Unicode deprecates or keeps for other uses. */
const controls = /(?![\t\n\f\r\u0080-\u009f])\p{Cc}|[\u206a-\u206f\ufeff\ufff9-\ufffc]/gu;

/** One round of ftfy's character fixes, in its order; NFC follows. */
function fixCharacters(text: string): string {
  return text
    .replace(/[\u0080-\u009f]/g, (control) => characterOfWindows1252(control.charCodeAt(0)))
    .replace(/[\u0132\u0133\u0149\u01c4-\u01cc\u01f1-\u01f3\ufb00-\ufb06]/g, (ligature) => ligatures.get(ligature) ?? ligature)
    .replace(/[\uff01-\uffef]/g, (wide) => wide.normalize("NFKC"))
    .replaceAll("\u3000", " ")
    .replace(/[\u201c-\u201f]/g, '"')
    .replace(/[\u02bc\u2018-\u201b]/g, "'")
    .replace(/\r\n?|[\u2028\u2029\u0085]/g, "\n")
    .replace(/\p{Surrogate}/gu, "\ufffd")
    .replace(terminalEscape, "")
    .replace(controls, "");
}

/** Repeats the fixes until the text is stable, as one may make another possible. Plain ASCII without `&` has nothing to fix. */
function fixLine(line: string, references: boolean): string {
  if (/^[\n -%'-~]*$/.test(line)) return line;
  for (let text = line; ; ) {
    const fixed = normalize(fixCharacters(repairMojibake(references ? unescapeClosedReferences(text) : text)));
    if (fixed === text) return text;
    text = fixed;
  }
}

/**
 * What ftfy 6.3 `fix_text` does with its default settings, line by line. Character references are decoded up to the first line
 * with a `<`, from which on the text is taken for HTML itself. The repair of text that was decoded with the wrong encoding
 * is a smaller one (see mojibake.ts); everything else is the same.
 */
export function fixText(text: string): string {
  let references = true;
  return text
    .split(/(?<=\n)/)
    .map((line) => {
      references &&= !line.includes("<");
      return fixLine(line, references);
    })
    .join("");
}

/**
 * Cleans a prompt as openai/CLIP `SimpleTokenizer.encode` does before it splits it into words: `ftfy.fix_text`, `html.unescape` twice,
 * runs of white space to one space, lower case.
 */
export function clean(text: string): string {
  return unescapeHtml(unescapeHtml(fixText(text)))
    .replace(/\p{White_Space}+/gu, " ")
    .replace(/^ | $/g, "")
    .toLowerCase();
}
