/** Pairs of symbols that wait to be merged: for each rank a list of the places where its pair stands or has stood, and the lowest rank first. */
export class MergeQueue {
  /** [ranks] The first entry of each list; 0 for an empty one. */
  readonly #first: Int32Array;
  /** A bit for each rank whose list is not empty. */
  readonly #waiting: Uint32Array;
  /** [entries] The place, and the next entry of the same list; from 1 on. */
  readonly #place: number[] = [0];
  readonly #rest: number[] = [0];

  constructor(ranks: number) {
    this.#first = new Int32Array(ranks);
    this.#waiting = new Uint32Array(Math.ceil(ranks / 32));
  }

  add(rank: number, place: number): void {
    this.#rest.push(this.#first[rank]!);
    this.#first[rank] = this.#place.length;
    this.#place.push(place);
    this.#waiting[rank >> 5]! |= 1 << (rank & 31);
  }

  /** The lowest rank that waits, `from` or above; -1 if none does. */
  next(from: number): number {
    for (let word = from >> 5; word < this.#waiting.length; word++) {
      const bits = this.#waiting[word]!;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
    }
    this.#place.length = 1;
    this.#rest.length = 1;
    return -1;
  }

  /** The places of a rank, last added first; its list is empty then. */
  take(rank: number): number[] {
    const places: number[] = [];
    for (let entry = this.#first[rank]!; entry > 0; entry = this.#rest[entry]!) places.push(this.#place[entry]!);
    this.#first[rank] = 0;
    this.#waiting[rank >> 5]! &= ~(1 << (rank & 31));
    return places;
  }
}
