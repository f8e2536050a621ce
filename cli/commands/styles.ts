/** @file `limn styles`: the styles that --style takes. */
import { readStyles } from "../pictures/styles.ts";
import type { StylesOptions } from "../syntax/options.ts";
import { oneLine } from "../terminal/error-text.ts";
import { writeStdout } from "../terminal/stdout.ts";

/** @throws UsageError STYLES_FILE; FileSystemError those of `openFile` */
export async function run({ stylesFile, json }: StylesOptions): Promise<void> {
  const styles = await readStyles(stylesFile);
  const lines = styles.map(({ name, prompt, negative }) => {
    return `${oneLine(name)}\n  ${oneLine(prompt)}\n${negative === "" ? "" : `  not: ${oneLine(negative)}\n`}`;
  });
  await writeStdout(json ? `${JSON.stringify(styles)}\n` : lines.join(""));
}
