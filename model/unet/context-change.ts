/** @file What may change the context that an attention makes its keys and values from. */
import type { Tensor } from "../../engine/index.ts";

/** context [N, S, D] -> [N, S, D] each. */
export interface ContextChange {
  keys(context: Tensor): Tensor;
  values(context: Tensor): Tensor;
}

/** By the width D of the context; undefined where it stays as it is. */
export interface ContextChanges {
  at(width: number): ContextChange | undefined;
}
