/** @file The hypernetworks that a loaded model has in its attentions. What was recorded without them must be recorded again. */
import { type Device, UsageError } from "../../engine/index.ts";
import type { UNet } from "../unet/unet.ts";
import { type Hypernetwork, type HypernetworkFile, Hypernetworks, loadHypernetwork } from "./hypernetwork.ts";
import type { HypernetworkUse } from "./hypernetwork-requests.ts";

/** Most hypernetworks at a time. */
const maxUses = 16;

export class HypernetworkSet {
  readonly #device: Device;
  readonly #loaded = new Map<HypernetworkFile, Hypernetwork>();
  #uses: readonly HypernetworkUse[] = [];

  constructor(device: Device) {
    this.#device = device;
  }

  /**
   * Loads what `uses` needs, and gives back what it doesn't. Where anything changes, `release` is called before: it is to let go of all
   * recordings of the U-Net. The same file is loaded once.
   * @throws UsageError HYPERNET_TOO_MANY; ModelFileError those of loadHypernetwork
   */
  async apply(uses: readonly HypernetworkUse[], unet: UNet, release: () => Promise<void>): Promise<void> {
    const wanted = uses.filter(({ strength }) => strength !== 0);
    if (wanted.length > maxUses) {
      throw new UsageError("HYPERNET_TOO_MANY", `${wanted.length} hypernetworks at once, at most ${maxUses} are taken`, {
        hint: "leave some out",
        context: { count: wanted.length, limit: maxUses },
      });
    }
    if (same(wanted, this.#uses)) return;
    for (const { hypernetwork } of wanted) {
      if (this.#loaded.has(hypernetwork)) continue;
      this.#loaded.set(hypernetwork, await loadHypernetwork(this.#device, hypernetwork, unet.config));
    }
    await release();
    unet.contextChanges =
      wanted.length === 0
        ? undefined
        : new Hypernetworks(
            wanted.map(({ hypernetwork, strength }) => ({ hypernetwork: this.#loaded.get(hypernetwork)!, strength })),
          );
    this.#uses = wanted;
    const used = new Set(wanted.map(({ hypernetwork }) => hypernetwork));
    for (const [file, loaded] of this.#loaded) {
      if (used.has(file)) continue;
      loaded.free();
      this.#loaded.delete(file);
    }
  }

  /** Gives all memory back; the U-Net is not to be used any more. */
  free(): void {
    for (const loaded of this.#loaded.values()) loaded.free();
    this.#loaded.clear();
    this.#uses = [];
  }
}

function same(one: readonly HypernetworkUse[], other: readonly HypernetworkUse[]): boolean {
  return (
    one.length === other.length &&
    one.every(({ hypernetwork, strength }, i) => hypernetwork === other[i]!.hypernetwork && strength === other[i]!.strength)
  );
}
