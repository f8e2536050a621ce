/** @file The forms of adapters, in the order in which they are looked for. */
import type { DeltaForm } from "./form.ts";
import { full } from "./full.ts";
import { glora } from "./glora.ts";
import { lora } from "./low-rank.ts";
import { loha, lokr } from "./lycoris.ts";
import { boft, oft } from "./oft.ts";

export type { DeltaForm, DeltaSize, MakeDelta, Parts } from "./form.ts";

export const deltaForms: readonly DeltaForm[] = [lora, loha, lokr, glora, boft, oft, full];
