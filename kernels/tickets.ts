/**
 * @file How workgroups of a software adapter share out the work of a launch. The driver gives every thread an equal share of a launch's
 * workgroups, so that a core which wakes late or which another program slows down keeps all others waiting. With tickets there are
 * only as many workgroups as the host has threads, and each takes the next tile when it is done with one.
 */
import { type Device, defineSnippet, type Grid } from "../engine/index.ts";

/** Two counters: tiles taken, workgroups done; both 0 between launches. */
export const ticketBuffer = { tickets: { access: "read_write", type: "atomic<u32>" } } as const;

export const ticketUniforms = { tiles: "u32", workers: "u32" } as const;

/**
 * The entry point of a kernel whose workgroup is one subgroup (tunable LANES): calls the kernel's `compute_tile(tile: u32, lane: u32)`
 * for each tile that this workgroup gets hold of. The loop is tested at its end, or lavapipe would run its body once more for no lane.
 */
export const ticketMain = defineSnippet({
  name: "ticket_main",
  wgsl: /* wgsl */ `
    fn next_tile(lane: u32) -> u32 {
      var tile = 0u;
      if (lane == 0u) { tile = atomicAdd(&tickets[0], 1u); }
      return subgroupBroadcast(tile, 0u);
    }

    @compute @workgroup_size(LANES)
    fn main(@builtin(subgroup_invocation_id) lane: u32) {
      var tile = next_tile(lane);
      loop {
        if (tile < uniforms.tiles) { compute_tile(tile, lane); }
        tile = next_tile(lane);
        continuing { break if tile >= uniforms.tiles; }
      }
      if (lane == 0u) {
        if (atomicAdd(&tickets[1], 1u) == uniforms.workers - 1u) {      // the last one leaves them as they were
          atomicStore(&tickets[0], 0u);
          atomicStore(&tickets[1], 0u);
        }
      }
    }`,
});

export interface Tickets {
  readonly buffers: { readonly tickets: Device["tickets"] };
  readonly uniforms: { readonly tiles: number; readonly workers: number };
  readonly grid: Grid;
}

/** What a launch of that many tiles adds to its buffers and uniforms, and its grid. */
export function ticketsFor(device: Device, tiles: number): Tickets {
  const workers = Math.min(tiles, device.hostThreads);
  return { buffers: { tickets: device.tickets }, uniforms: { tiles, workers }, grid: [workers] };
}
