/** @file The weights of Adams-Bashforth methods on even steps. */

/** Orders 1 to 4, each newest first (Liu et al. 2022, eq. 12). */
export const adamsBashforth: readonly (readonly number[])[] = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];
