/**
 * @file The zip container of torch.save (APPNOTE.TXT, sections 4.3 and 4.5.3): stored entries only, whose data begin where the
 * local header, not the directory, says: torch pads it so that tensors are aligned.
 */
import type { ByteSource } from "../byte-source.ts";
import { byteSizes, printable } from "../printable.ts";
import { utf8 } from "./bytes.ts";
import { again, damaged, refuse } from "./failure.ts";

/** Where an entry's bytes stand in the file. */
export interface ZipEntry {
  readonly name: string;
  readonly begin: number;
  readonly end: number;
}

interface Listed {
  readonly name: string;
  readonly header: number;
  readonly size: number;
}

const maxEntries = 200_000;
const maxDirectory = 64 * 1024 * 1024;
const maxNameBytes = 4096;
/** End record, its longest comment, and the two records of zip64 before it. */
const endBytes = 22 + 65_535 + 20 + 56;
const resave = "unpack it and save it again with torch.save, which does not compress";

/** The entries of a zip by name. @throws ModelFileError PICKLE_FORMAT, PICKLE_TRUNCATED, PICKLE_COMPRESSED, PICKLE_DUPLICATE, PICKLE_TOO_LARGE */
export async function readZip(source: ByteSource): Promise<Map<string, ZipEntry>> {
  const { name: file } = source;
  const { directory, count } = await readEnd(source);
  const listed = readDirectory(viewOf(await source.read(directory.begin, directory.end)), count, file);
  const entries = await locate(source, listed, directory.begin);
  let end = 0;
  for (const entry of [...entries.values()].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (entry.begin < end)
      refuse("PICKLE_FORMAT", file, `zip: entry "${printable(entry.name)}" overlaps the one before it`, damaged);
    end = entry.end;
  }
  return entries;
}

/** Where the directory is. A file that was cut short has lost it. */
async function readEnd(source: ByteSource): Promise<{ directory: { begin: number; end: number }; count: number }> {
  const { name: file, size } = source;
  const start = Math.max(0, size - endBytes);
  const view = viewOf(await source.read(start, size));
  let at = view.byteLength - 22;
  while (at >= 0 && !(view.getUint32(at, true) === 0x06054b50 && at + 22 + view.getUint16(at + 20, true) === view.byteLength))
    at--;
  if (at < 0) {
    return refuse(
      "PICKLE_TRUNCATED",
      file,
      `no directory at the end of its ${byteSizes(size)[0]}: the file was cut short`,
      `the download broke off: ${again}`,
      {
        bytes: size,
      },
    );
  }
  let [count, length, begin] = [view.getUint16(at + 10, true), view.getUint32(at + 12, true), view.getUint32(at + 16, true)];
  if (view.getUint16(at + 4, true) !== 0 && view.getUint16(at + 4, true) !== 0xffff)
    refuse("PICKLE_FORMAT", file, "a zip in several parts", again);
  if (at >= 76 && view.getUint32(at - 20, true) === 0x07064b50) {
    const record = at - 76;
    if (u64(view, at - 12, file) !== start + record || view.getUint32(record, true) !== 0x06064b50)
      refuse("PICKLE_FORMAT", file, "zip64: no end record where it should be", damaged);
    [count, length, begin] = [u64(view, record + 32, file), u64(view, record + 40, file), u64(view, record + 48, file)];
    at = record;
  }
  if (count > maxEntries || length > maxDirectory)
    refuse("PICKLE_TOO_LARGE", file, `a zip of ${count} entries, ${length} bytes of names`, damaged);
  if (begin + length !== start + at)
    refuse("PICKLE_FORMAT", file, `zip: the directory ends at byte ${begin + length}, not at ${start + at}`, damaged);
  return { directory: { begin, end: begin + length }, count };
}

function readDirectory(view: DataView, count: number, file: string): Listed[] {
  const listed: Listed[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const fits = at + 46 <= view.byteLength && view.getUint32(at, true) === 0x02014b50;
    const [nameBytes, extraBytes, commentBytes] = fits
      ? [28, 30, 32].map((field) => view.getUint16(at + field, true))
      : [0, 0, 0];
    const next = at + 46 + nameBytes! + extraBytes! + commentBytes!;
    if (!fits || next > view.byteLength)
      return refuse("PICKLE_FORMAT", file, `zip: entry ${i + 1} of ${count} is cut short`, damaged);
    const name = utf8.decode(new Uint8Array(view.buffer, view.byteOffset + at + 46, nameBytes));
    if (nameBytes! > maxNameBytes) refuse("PICKLE_TOO_LARGE", file, `zip: a name of ${nameBytes} bytes`, damaged);
    const shown = printable(name);
    if ((view.getUint16(at + 8, true) & 0x41) !== 0) refuse("PICKLE_FORMAT", file, `zip: entry "${shown}" is encrypted`, resave);
    const method = view.getUint16(at + 10, true);
    if (method !== 0) refuse("PICKLE_COMPRESSED", file, `zip: entry "${shown}" is compressed (method ${method})`, resave);
    const sizes = wideSizes(view, at, nameBytes!, extraBytes!, file);
    if (sizes.packed !== sizes.size)
      refuse("PICKLE_FORMAT", file, `zip: entry "${shown}" takes ${sizes.packed} bytes for ${sizes.size}`, damaged);
    listed.push({ name, header: sizes.header, size: sizes.size });
    at = next;
  }
  if (at !== view.byteLength)
    refuse("PICKLE_FORMAT", file, `zip: ${view.byteLength - at} bytes behind the last of ${count} entries`, damaged);
  return listed;
}

/** The three numbers that zip64 keeps in an extra field where 32 bits are too few. */
function wideSizes(
  view: DataView,
  at: number,
  nameBytes: number,
  extraBytes: number,
  file: string,
): { packed: number; size: number; header: number } {
  const narrow = {
    size: view.getUint32(at + 24, true),
    packed: view.getUint32(at + 20, true),
    header: view.getUint32(at + 42, true),
  };
  let field = at + 46 + nameBytes;
  const end = field + extraBytes;
  while (field + 4 <= end) {
    const [id, length] = [view.getUint16(field, true), view.getUint16(field + 2, true)];
    if (id === 1) {
      let value = field + 4;
      const wide = { ...narrow };
      for (const key of ["size", "packed", "header"] as const) {
        if (narrow[key] !== 0xffffffff) continue;
        if (value + 8 > Math.min(end, field + 4 + length))
          return refuse("PICKLE_FORMAT", file, "zip64: a size is missing", damaged);
        wide[key] = u64(view, value, file);
        value += 8;
      }
      return wide;
    }
    field += 4 + length;
  }
  return narrow;
}

/** Local headers that lie closer than this are read together. */
const maxGap = 64 * 1024;
const readsAtOnce = 16;

/** Reads the local headers. */
async function locate(source: ByteSource, listed: readonly Listed[], limit: number): Promise<Map<string, ZipEntry>> {
  const sorted = [...listed].sort((a, b) => a.header - b.header);
  const groups: Listed[][] = [];
  for (const entry of sorted) {
    if (entry.header + 30 > limit)
      refuse("PICKLE_FORMAT", source.name, `zip: entry "${printable(entry.name)}" begins behind its own directory`, damaged);
    const group = groups.at(-1);
    if (group && entry.header - group[0]!.header < maxGap) group.push(entry);
    else groups.push([entry]);
  }
  const entries = new Map<string, ZipEntry>();
  for (let i = 0; i < groups.length; i += readsAtOnce) {
    const some = groups.slice(i, i + readsAtOnce);
    for (const entry of (await Promise.all(some.map((group) => locateGroup(source, group, limit)))).flat()) {
      if (entries.has(entry.name))
        refuse("PICKLE_DUPLICATE", source.name, `zip: two entries of the name "${printable(entry.name)}"`, damaged);
      entries.set(entry.name, entry);
    }
  }
  return entries;
}

async function locateGroup(source: ByteSource, group: readonly Listed[], limit: number): Promise<ZipEntry[]> {
  const first = group[0]!.header;
  const view = viewOf(await source.read(first, Math.min(limit, group.at(-1)!.header + 30 + maxNameBytes)));
  return group.map(({ name, header, size }) => {
    const at = header - first;
    const [nameBytes, extraBytes] = [view.getUint16(at + 26, true), view.getUint16(at + 28, true)];
    const begin = header + 30 + nameBytes + extraBytes;
    const shown = printable(name);
    const same =
      view.getUint32(at, true) === 0x04034b50 &&
      at + 30 + nameBytes <= view.byteLength &&
      utf8.decode(new Uint8Array(view.buffer, view.byteOffset + at + 30, nameBytes)) === name;
    if (!same) refuse("PICKLE_FORMAT", source.name, `zip: entry "${shown}" has another header than the directory says`, damaged);
    if (begin + size > limit)
      refuse(
        "PICKLE_FORMAT",
        source.name,
        `zip: entry "${shown}" ends at byte ${begin + size}, the directory begins at ${limit}`,
        damaged,
      );
    return { name, begin, end: begin + size };
  });
}

function u64(view: DataView, at: number, file: string): number {
  const value = Number(view.getBigUint64(at, true));
  return Number.isSafeInteger(value) ? value : refuse("PICKLE_FORMAT", file, `zip64: a size of ${value} bytes`, damaged);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
