/**
 * @file Which one command gives this system a software Vulkan driver that Dawn accepts. Used by errors, by `limn doctor`
 * and by scripts/setup.mjs.
 */

/** What decides the advice. The last four come from /etc/os-release and are empty where there is none. */
export interface System {
  /** `process.platform` */
  readonly platform: string;
  /** "debian", "ubuntu", "fedora", ... */
  readonly id: string;
  /** Systems that this one is like. */
  readonly like: readonly string[];
  readonly version: string;
  /** For people: "Debian GNU/Linux 12 (bookworm)". */
  readonly name: string;
}

/** Reads an os-release file (freedesktop.org, os-release(5)): lines `KEY=value`, perhaps quoted. */
export function parseSystem(platform: string, osRelease: string): System {
  const fields = new Map<string, string>();
  for (const line of osRelease.split("\n")) {
    const match = /^([A-Z_]+)=(["']?)(.*)\2$/.exec(line.trim());
    if (match) fields.set(match[1]!, match[3]!);
  }
  return {
    platform,
    id: fields.get("ID") ?? "",
    like: (fields.get("ID_LIKE") ?? "").split(" ").filter(Boolean),
    version: fields.get("VERSION_ID") ?? "",
    name: fields.get("PRETTY_NAME") ?? platform,
  };
}

/** True where Debian's stock Mesa is too old for Dawn (22.3 lacks dynamic indexing) and backports has the one that works. */
export function needsBackports(system: System): boolean {
  return system.id === "debian" && system.version === "12";
}

/** True where apt can bring the driver: Debian, Ubuntu and systems that say they are like them. */
export function isAptSystem(system: System): boolean {
  return system.platform === "linux" && isLike(system, "debian", "ubuntu");
}

/** The way to a working adapter on this system, one line. */
export function driverAdvice(system: System): string {
  if (system.platform === "darwin") return "Metal is part of macOS 13 and later: update macOS";
  if (system.platform === "win32") return "update the graphics driver from its vendor, or Windows itself (Direct3D 12 is needed)";
  if (needsBackports(system)) {
    return "enable bookworm-backports, then run: sudo apt-get install -y -t bookworm-backports mesa-vulkan-drivers libvulkan1";
  }
  if (isAptSystem(system)) return "run: sudo apt-get install -y mesa-vulkan-drivers libvulkan1";
  if (isLike(system, "alpine"))
    return "Alpine's C library (musl) can't load Dawn: use an image with glibc, e.g. node:20-bookworm-slim";
  if (isLike(system, "arch")) return "run: sudo pacman -S vulkan-swrast vulkan-icd-loader";
  if (isLike(system, "suse", "opensuse")) return "run: sudo zypper install libvulkan_lvp libvulkan1";
  if (isLike(system, "fedora", "rhel")) return "run: sudo dnf install -y mesa-vulkan-drivers vulkan-loader";
  return "install your graphics card's Vulkan driver, or Mesa's software one (lavapipe, Mesa 23 or later) and the Vulkan loader";
}

function isLike(system: System, ...ids: string[]): boolean {
  return [system.id, ...system.like].some((id) => ids.includes(id));
}
