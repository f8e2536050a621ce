/**
 * Unicode normalisation form C. The built-in puts a run of combining marks in order by insertion, so that 64 KiB of them take seconds;
 * long runs are sorted here first, which changes no text's normal form (Unicode, section 3.11: canonical ordering).
 */
export function normalize(text: string): string {
  return text.replace(/\p{M}{100,}/gu, orderMarks).normalize("NFC");
}

/** Sorts each stretch of marks between starters by combining class; marks of one class keep their order. */
function orderMarks(run: string): string {
  const decomposed = new Map<string, readonly string[]>();
  for (const mark of new Set(run)) decomposed.set(mark, [...mark.normalize("NFD")]);
  const classes = combiningClasses(new Set([...decomposed.values()].flat()));
  let ordered = "";
  /** The marks of a stretch, by class. */
  const stretch: string[] = [];
  for (const character of run) {
    for (const mark of decomposed.get(character)!) {
      const number = classes.get(mark);
      if (number !== undefined) stretch[number] = (stretch[number] ?? "") + mark;
      else {
        ordered += stretch.join("") + mark;
        stretch.length = 0;
      }
    }
  }
  return ordered + stretch.join("");
}

/** Numbers in the order of the combining classes, by what the built-in swaps; marks that are starters (class 0) have none. */
function combiningClasses(marks: ReadonlySet<string>): Map<string, number> {
  // U+0345 alone has the highest class: every other mark but a starter goes before it.
  const nonStarters = [...marks].filter((mark) => mark === "\u0345" || swaps("\u0345", mark)).sort(compareClasses);
  const classes = new Map<string, number>();
  let number = 0;
  for (const [index, mark] of nonStarters.entries()) {
    if (index > 0 && compareClasses(nonStarters[index - 1]!, mark) !== 0) number++;
    classes.set(mark, number);
  }
  return classes;
}

function compareClasses(a: string, b: string): number {
  return Number(swaps(a, b)) - Number(swaps(b, a));
}

function swaps(first: string, second: string): boolean {
  return (first + second).normalize("NFD") !== first + second;
}
