/** @file The options for styles, and the syntax of `limn styles`. */
import { Command, Option } from "commander";
import type { StyleChoice } from "../pictures/styles.ts";
import { addCommonOptions, common, type Syntax, type Values } from "./shared.ts";

export function addStyleOptions(command: Command): void {
  command
    .addOption(
      new Option("--style <name>", "put a style of styles.csv around the prompts; may be given several times").argParser(
        (name, before: readonly string[] | undefined) => [...(before ?? []), name],
      ),
    )
    .addOption(stylesFile());
}

export function styleValues(values: Values): StyleChoice {
  return {
    styles: (values["style"] as readonly string[] | undefined) ?? [],
    stylesFile: values["stylesFile"] as string | undefined,
  };
}

export function stylesSyntax(): Syntax {
  const command = new Command("limn styles").description("List the styles that --style takes.").addOption(stylesFile());
  addCommonOptions(command);
  return {
    command,
    finish() {
      const values: Values = command.opts();
      return { command: "styles", options: { ...common(values), stylesFile: values["stylesFile"] as string | undefined } };
    },
  };
}

function stylesFile(): Option {
  return new Option(
    "--styles-file <file>",
    "where the styles are: name,prompt,negative_prompt as A1111 has them (default: styles.csv)",
  );
}
