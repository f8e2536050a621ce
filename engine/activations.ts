/**
 * @file Memory of captured work. A capture is recorded before it runs, so every tensor's life is known: from the launch before
 * which it was made to the last one that binds it, which may come long before its scope ends. Tensors whose lives don't overlap share a buffer; captures run one
 * after the other, so they share buffers too.
 */
import type { Allocation, BufferFactory, PooledBuffer } from "./pool.ts";

interface Tenant extends Allocation {
  readonly bytes: number;
  /** Alive in [from, to), counted in launches over all captures. A result lives for ever: from 0, so that no replay overwrites it. */
  from: number;
  to: number;
  /** After the last launch so far that binds it. */
  used: number | undefined;
  assigned: PooledBuffer | undefined;
  freed: boolean;
}

interface SharedBuffer {
  readonly buffer: PooledBuffer;
  readonly tenants: Tenant[];
}

export class ActivationMemory {
  readonly #factory: BufferFactory;
  readonly #shared: SharedBuffer[] = [];
  #waiting: Tenant[] = [];
  #clock = 1;

  constructor(factory: BufferFactory) {
    this.#factory = factory;
  }

  /** One launch has been recorded. */
  tick(): void {
    this.#clock++;
  }

  take(bytes: number, label: string): Allocation {
    this.#factory.expectPossible(bytes);
    const memory = this;
    const tenant: Tenant = {
      bytes: Math.ceil(bytes / 256) * 256,
      label,
      from: this.#clock,
      to: Number.POSITIVE_INFINITY,
      used: undefined,
      assigned: undefined,
      freed: false,
      get buffer() {
        if (!tenant.assigned) memory.plan();
        return tenant.assigned!;
      },
      touch() {
        tenant.used = memory.#clock + 1;
      },
      release() {
        if (tenant.freed) return;
        tenant.freed = true;
        tenant.to = Math.min(memory.#clock, tenant.used ?? memory.#clock);
      },
    };
    this.#waiting.push(tenant);
    return tenant;
  }

  /** Marks what a capture returned: it keeps its place whatever is replayed. */
  keep(allocations: Iterable<Allocation>): void {
    for (const allocation of allocations) {
      const tenant = this.#waiting.find((waiting) => waiting === allocation);
      if (tenant) tenant.from = 0;
    }
  }

  /** A point in time, for `dropSince`. */
  mark(): number {
    return ++this.#clock;
  }

  /** Forgets the tensors of a capture that failed while it was recorded, which began at this mark. */
  dropSince(mark: number): void {
    this.#waiting = this.#waiting.filter((tenant) => tenant.from < mark);
  }

  /**
   * Gives every tensor recorded so far a buffer: largest first, each into the fullest buffer that is large enough and free for
   * its whole life ("greedy by size", Pisarchyk & Lee 2020).
   */
  plan(): void {
    const waiting = this.#waiting.sort((a, b) => b.bytes - a.bytes);
    for (const tenant of waiting) {
      if (tenant.assigned) continue; // an earlier attempt ended here for lack of memory
      const fits = this.#shared.filter(
        ({ buffer, tenants }) => buffer.bytes >= tenant.bytes && !tenants.some((other) => overlap(tenant, other)),
      );
      const best = fits.reduce<SharedBuffer | undefined>((a, b) => (a && a.buffer.bytes <= b.buffer.bytes ? a : b), undefined);
      const home = best ?? { buffer: this.#factory.create(tenant.bytes), tenants: [] };
      if (!best) this.#shared.push(home);
      home.tenants.push(tenant);
      tenant.assigned = home.buffer;
    }
    this.#waiting = [];
  }

  /** Bytes of all shared buffers. */
  get bytes(): number {
    return this.#shared.reduce((sum, { buffer }) => sum + buffer.bytes, 0);
  }

  /** Gives everything back, when no capture is left. */
  clear(): void {
    for (const { buffer } of this.#shared.splice(0)) this.#factory.destroy(buffer);
    this.#waiting = [];
  }
}

function overlap(a: Tenant, b: Tenant): boolean {
  return a.from < b.to && b.from < a.to;
}
