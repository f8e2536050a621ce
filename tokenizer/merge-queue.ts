/** Pairs of symbols that wait to be merged, lowest rank first: a list for each rank of the places where its pair stands or has stood, and a bit for each list. */
export class MergeQueue {
  /** The rank of the place that came last. */
  rank = 0;
  /** [ranks] The first entry of each list; 0 for none. */
  readonly #first: Int32Array;
  /** A bit for each rank, set where the list has entries. */
  readonly #waiting: Uint32Array;
  /** [entries] The place, and the next entry of the same list; from 1 on. */
  #place = new Int32Array(1);
  #rest = new Int32Array(1);
  #entries = 1;

  constructor(ranks: number) {
    this.#first = new Int32Array(ranks);
    this.#waiting = new Uint32Array(Math.ceil(ranks / 32));
  }

  /** Makes room for so many places. */
  reserve(places: number): void {
    if (this.#place.length > places) return;
    this.#place = new Int32Array(places + 1);
    this.#rest = new Int32Array(places + 1);
  }

  /** A place, of a rank above the one that came last. */
  add(rank: number, place: number): void {
    const entry = this.#entries++;
    this.#place[entry] = place;
    this.#rest[entry] = this.#first[rank]!;
    this.#first[rank] = entry;
    this.#waiting[rank >> 5]! |= 1 << (rank & 31);
  }

  /** A place of the lowest rank, -1 if nothing waits any more. */
  pop(): number {
    let entry = this.#first[this.rank]!;
    if (entry === 0) {
      this.rank = this.#nextRank();
      entry = this.#first[this.rank]!;
      if (entry === 0) {
        this.#entries = 1;
        return -1;
      }
    }
    this.#first[this.rank] = this.#rest[entry]!;
    return this.#place[entry]!;
  }

  /** The next rank whose bit is set, 0 if none is. */
  #nextRank(): number {
    this.#waiting[this.rank >> 5]! &= ~(1 << (this.rank & 31));
    for (let word = this.rank >> 5; word < this.#waiting.length; word++) {
      const bits = this.#waiting[word]!;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
    }
    return 0;
  }
}
