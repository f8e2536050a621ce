/** @file The container of a PNG (W3C PNG, third edition, section 5): a signature, then chunks `length type data crc`. */
import { crc32 } from "node:zlib";
import { ImageError } from "../../engine/errors.ts";

export interface Chunk {
  /** Four letters, e.g. "IHDR". */
  readonly type: string;
  readonly data: Buffer;
  /** First byte of the chunk in the file. */
  readonly offset: number;
}

export const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Bytes of a chunk besides its data: length, type, CRC. */
const frame = 12;
const largestLength = 0x7fffffff;
const mostChunks = 4096;

/** One chunk as bytes. */
export function writeChunk(type: string, data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(frame + data.length);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4, "latin1");
  bytes.set(data, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + data.length)), 8 + data.length);
  return bytes;
}

/**
 * All chunks, checked: lengths within the file, CRCs, IHDR first, once and of 13 bytes, IDATs in one run, IEND last.
 * @throws ImageError NOT_PNG, PNG_TRUNCATED, PNG_CHUNK, PNG_CRC, PNG_ORDER
 */
export function readChunks(bytes: Buffer): Chunk[] {
  if (!bytes.subarray(0, 8).equals(signature)) {
    throw new ImageError("NOT_PNG", "the file does not begin as a PNG does", {
      hint: "convert it to PNG",
      context: { bytes: bytes.length },
    });
  }
  const chunks: Chunk[] = [];
  for (let offset = 8; chunks.at(-1)?.type !== "IEND"; ) {
    if (offset === bytes.length) throw broken("PNG_TRUNCATED", "the file ends before its end mark (IEND)", { offset });
    if (bytes.length - offset < frame)
      throw broken("PNG_TRUNCATED", `byte ${offset}: the file ends within a chunk's frame`, { offset });
    const length = bytes.readUInt32BE(offset);
    const type = bytes.toString("latin1", offset + 4, offset + 8);
    if (!/^[A-Za-z]{4}$/.test(type))
      throw broken("PNG_CHUNK", `byte ${offset}: ${JSON.stringify(type)} is no chunk's name`, { offset });
    const rest = bytes.length - offset - frame;
    if (length > largestLength || length > rest) {
      throw broken("PNG_TRUNCATED", `${type} at byte ${offset}: its length is ${length}, the file has ${rest} bytes for it`, {
        offset,
        length,
        rest,
      });
    }
    const end = offset + 8 + length;
    if (crc32(bytes.subarray(offset + 4, end)) !== bytes.readUInt32BE(end)) {
      throw broken("PNG_CRC", `${type} at byte ${offset}: its checksum is wrong`, { offset, type });
    }
    chunks.push({ type, data: bytes.subarray(offset + 8, end), offset });
    if (chunks.length > mostChunks) throw broken("PNG_CHUNK", `there are more than ${mostChunks} chunks`, { offset });
    offset = end + 4;
  }
  checkOrder(chunks);
  return chunks;
}

function checkOrder(chunks: readonly Chunk[]): void {
  const first = chunks[0];
  if (first?.type !== "IHDR") throw broken("PNG_ORDER", `the first chunk is ${first?.type}, not IHDR`, { offset: first?.offset });
  if (first.data.length !== 13)
    throw broken("PNG_CHUNK", `IHDR has ${first.data.length} bytes, not 13`, { offset: first.offset });
  const again = chunks.slice(1).find(({ type }) => type === "IHDR");
  if (again) throw broken("PNG_ORDER", `IHDR stands twice, again at byte ${again.offset}`, { offset: again.offset });
  const begin = chunks.findIndex(({ type }) => type === "IDAT");
  if (begin < 0) throw broken("PNG_ORDER", "there are no pixels (IDAT)", {});
  const run = chunks.slice(begin).findIndex(({ type }) => type !== "IDAT");
  const late = chunks.slice(begin + run).find(({ type }) => type === "IDAT");
  if (late) throw broken("PNG_ORDER", `IDAT at byte ${late.offset} stands apart from the others`, { offset: late.offset });
}

function broken(code: string, fact: string, context: Readonly<Record<string, unknown>>): ImageError {
  return new ImageError(code, `PNG: ${fact}`, {
    hint: "the file is damaged: get it again, or open it elsewhere and save it as PNG",
    context,
  });
}
