/** @file A file on the web, read by range (RFC 9110, section 14). */
import { ModelFileError, NetworkError } from "../../engine/errors.ts";
import { type ByteSource, checkRange } from "./byte-source.ts";
import { printable } from "./printable.ts";

export interface UrlOptions {
  readonly signal?: AbortSignal | undefined;
  /** Waits before the second try, the third and so on, in milliseconds; as many as there are tries more. */
  readonly waits?: readonly number[];
}

const download = "download the file and pass its path";
const usualWaits: readonly number[] = [500, 1500, 4000];

/**
 * Opens a file by its address: https, or http on this machine.
 * @throws NetworkError NET_ADDRESS, NET_UNREACHABLE, NET_STATUS, NET_NO_RANGES, NET_RESPONSE; the signal's reason
 */
export async function openUrl(address: string, options: UrlOptions | AbortSignal = {}): Promise<UrlSource> {
  const { signal, waits = usualWaits } = options instanceof AbortSignal ? { signal: options } : options;
  const url = parse(address);
  const reader = new RangeReader(url, signal, waits);
  const { size } = await reader.read(0, 1);
  return new UrlSource(url, size, reader);
}

export class UrlSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #url: URL;
  readonly #reader: RangeReader;

  constructor(url: URL, size: number, reader: RangeReader) {
    this.name = nameOf(url);
    this.size = size;
    this.#url = url;
    this.#reader = reader;
  }

  async read(begin: number, end: number): Promise<Uint8Array> {
    checkRange(this, begin, end);
    if (begin === end) return new Uint8Array();
    return (await this.#reader.read(begin, end, this.size)).bytes;
  }

  async beside(name: string): Promise<UrlSource> {
    const url = new URL(this.#url);
    url.pathname = url.pathname.replace(/[^/]*$/, encodeURIComponent(name));
    const reader = new RangeReader(url, this.#reader.signal, this.#reader.waits);
    return new UrlSource(url, (await reader.read(0, 1)).size, reader);
  }

  async close(): Promise<void> {}
}

/** Reads ranges of one file and sees to it that they are of one version of it. */
class RangeReader {
  readonly signal: AbortSignal | undefined;
  readonly waits: readonly number[];
  readonly #url: URL;
  #version: string | undefined;

  constructor(url: URL, signal: AbortSignal | undefined, waits: readonly number[]) {
    this.#url = url;
    this.signal = signal;
    this.waits = waits;
  }

  /** Bytes begin..end-1, and the size of the whole file. Tries again where that may help. */
  async read(begin: number, end: number, size?: number): Promise<{ bytes: Uint8Array; size: number }> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#once(begin, end, size);
      } catch (error) {
        this.signal?.throwIfAborted();
        const wait = this.waits[attempt];
        if (wait === undefined || !(error instanceof NetworkError && error.context["again"] === true)) throw error;
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  async #once(begin: number, end: number, size: number | undefined): Promise<{ bytes: Uint8Array; size: number }> {
    const { address, authorization } = withoutPassword(this.#url);
    const headers = { range: `bytes=${begin}-${end - 1}`, "accept-encoding": "identity", ...authorization };
    const response = await fetch(address, { headers, signal: this.signal ?? null }).catch((cause: unknown) => {
      const reason =
        cause instanceof Error ? (cause.cause instanceof Error ? cause.cause.message : cause.message) : String(cause);
      return this.#fail("NET_UNREACHABLE", `no answer: ${printable(reason)}`, "check the address and the connection", {
        again: true,
        cause,
      });
    });
    try {
      return await this.#take(response, begin, end, size);
    } finally {
      if (!response.bodyUsed) await response.body?.cancel();
    }
  }

  async #take(response: Response, begin: number, end: number, size: number | undefined) {
    expectSecure(new URL(response.url), nameOf(this.#url));
    if (response.status === 416 && begin === 0) return this.#fail("NET_RESPONSE", "the file there is empty", download);
    if (response.status === 200) {
      const page = response.headers.get("content-type")?.startsWith("text/html") === true;
      if (page) return this.#fail("NET_RESPONSE", "this is a web page, not a file", "pass the address of the file itself");
      return this.#fail("NET_NO_RANGES", "the server gives the file only as a whole", download);
    }
    if (response.status !== 206) return this.#refuseStatus(response.status);
    const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
    const [first, last, whole] = range ? range.slice(1).map(Number) : [];
    const isAsked = first === begin && last !== undefined && last < end && Number.isSafeInteger(whole);
    if (!isAsked) return this.#fail("NET_RESPONSE", "the server gave another range than it was asked for", download);
    this.#expectVersion(response, whole!, size);
    const bytes = await response
      .arrayBuffer()
      .catch((cause: unknown) =>
        this.#fail("NET_UNREACHABLE", "the connection broke off", "check the connection, then run again", { again: true, cause }),
      );
    if (bytes.byteLength !== end - begin) {
      const fact = `the server gave ${bytes.byteLength} bytes of ${end - begin}`;
      return this.#fail("NET_RESPONSE", fact, "run again, or download the file and pass its path", { again: true });
    }
    return { bytes: new Uint8Array(bytes), size: whole! };
  }

  #expectVersion(response: Response, whole: number, size: number | undefined): void {
    const version = `${response.headers.get("etag") ?? response.headers.get("last-modified") ?? ""} ${whole}`;
    this.#version ??= version;
    if (version === this.#version && (size === undefined || whole === size)) return;
    throw new ModelFileError("CHECKPOINT_CHANGED", `${nameOf(this.#url)}: the file changed while it was read`, {
      hint: "run again",
      context: { file: nameOf(this.#url) },
    });
  }

  #refuseStatus(status: number): never {
    const [fact, hint] =
      status === 401 || status === 403
        ? ["the server does not let you read it", `it may need an account or an agreement: ${download}`]
        : status === 404 || status === 410
          ? ["there is no such file", "check the address"]
          : [`the server answers with status ${status}`, "try again later"];
    return this.#fail("NET_STATUS", fact!, hint!, { again: status === 429 || status >= 500, status });
  }

  #fail(code: string, fact: string, hint: string, { cause, ...context }: Readonly<Record<string, unknown>> = {}): never {
    const name = nameOf(this.#url);
    throw new NetworkError(code, `${name}: ${fact}`, { hint, context: { file: name, ...context }, cause });
  }
}

function parse(address: string): URL {
  if (URL.canParse(address)) {
    const url = new URL(address);
    expectSecure(url, nameOf(url));
    return url;
  }
  throw new NetworkError("NET_ADDRESS", `${printable(address)}: this is no address`, { hint: "it begins with https://" });
}

/** Without encryption anyone on the way could change a model; on this machine nobody is on the way. */
function expectSecure(url: URL, name: string): void {
  const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  if (url.protocol === "https:" || (url.protocol === "http:" && isLocal)) return;
  throw new NetworkError("NET_ADDRESS", `${name}: ${url.protocol.slice(0, -1)} is not encrypted`, {
    hint: `use https, or ${download}`,
    context: { file: name },
  });
}

/** `fetch` takes no address with a name and password in it; they go into a header, which it drops on the way to another host. */
function withoutPassword(url: URL): { address: URL; authorization: Record<string, string> } {
  if (url.username === "" && url.password === "") return { address: url, authorization: {} };
  const [address, pair] = [new URL(url), `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`];
  [address.username, address.password] = ["", ""];
  return { address, authorization: { authorization: `Basic ${btoa(pair)}` } };
}

/** Without name, password and query, which may hold a secret. */
function nameOf(url: URL): string {
  return printable(`${url.origin}${url.pathname}`, 4096);
}
