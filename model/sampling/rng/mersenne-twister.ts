/** @file MT19937 (Matsumoto & Nishimura 1998): the 32-bit engine of torch's CPU generator. */

const N = 624;
const M = 397;

export class MersenneTwister {
  readonly #state = new Uint32Array(N);
  #index = N;

  /** @param seed Only its low 32 bits count. */
  constructor(seed: number) {
    const state = this.#state;
    state[0] = seed >>> 0;
    for (let j = 1; j < N; j++) {
      const previous = state[j - 1]!;
      state[j] = Math.imul(1812433253, previous ^ (previous >>> 30)) + j;
    }
  }

  /** Next 32 bits, as an unsigned number. */
  next(): number {
    if (this.#index === N) this.#twist();
    let y = this.#state[this.#index++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** Recomputes all N words of state (eq. 2 of the paper). */
  #twist(): void {
    const state = this.#state;
    for (let j = 0; j < N; j++) {
      const bits = (state[j]! & 0x80000000) | (state[(j + 1) % N]! & 0x7fffffff);
      state[j] = state[(j + M) % N]! ^ (bits >>> 1) ^ (bits & 1 ? 0x9908b0df : 0);
    }
    this.#index = 0;
  }
}
