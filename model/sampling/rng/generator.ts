/** @file What the pipeline wants of a random number generator. */

/** A stream of standard normal numbers. The split into calls matters: one draw of 20 isn't two draws of 10. */
export interface Generator {
  randn(count: number): Float32Array;
}
