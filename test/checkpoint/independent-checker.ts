/**
 * @file The format's rules once more, from its README, in the plainest way and sharing nothing with the reader under test:
 * JSON.parse for the JSON, BigInt for the arithmetic. Says only yes or no.
 */
const names: Record<string, string> = {
  "4": "F4",
  "6": "F6_E2M3 F6_E3M2",
  "8": "BOOL U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ",
  "16": "I16 U16 F16 BF16",
  "32": "I32 U32 F32",
  "64": "C64 F64 I64 U64",
};
const bits = new Map(
  Object.entries(names).flatMap(([size, list]) => list.split(" ").map((name) => [name, BigInt(size)] as const)),
);

export function isValidSafetensors(bytes: Uint8Array): boolean {
  if (bytes.length < 8) return false;
  let length = 0n;
  for (let i = 7; i >= 0; i--) length = length * 256n + BigInt(bytes[i]!);
  if (length > 25_000_000n || length + 8n > BigInt(bytes.length)) return false;
  const text = Buffer.from(bytes.subarray(8, 8 + Number(length)));
  if (!Buffer.from(text.toString("utf8"), "utf8").equals(text)) return false; // replaced something: was not UTF-8
  const json = text.toString("utf8");
  // What JSON.parse hides: duplicate keys, numbers not written as integers, half surrogate pairs, a leading byte order mark.
  if (/\d\.\d/.test(json)) return false;
  if (json.startsWith("\ufeff") || hasDuplicateKeys(json) || /[^\\]\\ud[89a-f]/i.test(json)) return false;
  let header: unknown;
  try {
    header = JSON.parse(json);
  } catch {
    return false;
  }
  if (!isRecord(header)) return false;
  const spans: { begin: bigint; end: bigint }[] = [];
  for (const name of Object.keys(header)) {
    const entry = header[name];
    if (name === "__metadata__") {
      if (entry !== null && !(isRecord(entry) && Object.values(entry).every((value) => typeof value === "string"))) return false;
      continue;
    }
    if (!isRecord(entry)) return false;
    const { dtype, shape, data_offsets: offsets } = entry;
    const element = bits.get(String(dtype));
    if (typeof dtype !== "string" || element === undefined) return false;
    if (!isCounts(shape) || !isCounts(offsets) || offsets.length !== 2) return false;
    const [begin, end] = offsets.map(BigInt) as [bigint, bigint];
    const size = shape.reduce((product, count) => product * BigInt(count), element);
    if (size % 8n !== 0n || size / 8n !== end - begin) return false;
    if (size > 2n ** 53n - 1n) return false;
    spans.push({ begin, end });
  }
  spans.sort((a, b) => (a.begin < b.begin ? -1 : a.begin > b.begin ? 1 : a.end < b.end ? -1 : 1));
  let end = 0n;
  for (const span of spans) {
    if (span.begin !== end || span.end < span.begin) return false;
    end = span.end;
  }
  return end + 8n + length === BigInt(bytes.length);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && count >= 0);
}

/** Counts the keys in the text and in what JSON.parse makes of it. Test names hold no quotes, braces or colons. */
function hasDuplicateKeys(json: string): boolean {
  const written = json.match(/"[^"]*"\s*:/g)?.length ?? 0;
  let kept = 0;
  try {
    JSON.parse(json, function (key) {
      if (key !== "" && !Array.isArray(this)) kept++;
      return this[key];
    });
  } catch {
    return false;
  }
  return written !== kept;
}
