import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { openModelSource } from "../../cli/models/model-source.ts";
import { exitCodeOf } from "../../cli/terminal/exit-codes.ts";
import { openModelFile } from "../../model/checkpoint/open.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { openUrl } from "../../model/checkpoint/url-source.ts";
import { readValues } from "../../model/checkpoint/values.ts";
import { safetensors } from "./build-file.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
}

interface Quirks {
  readonly etag?: () => string;
  readonly cutAt?: number;
  /** Says another range than it was asked for. */
  readonly shift?: number;
}

/** Answers ranges of `bytes`. */
function answer(bytes: Uint8Array, request: IncomingMessage, response: ServerResponse, quirks: Quirks = {}): void {
  const [, first = "0", last = "0"] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  const [begin, end] = [Number(first), Math.min(Number(last) + 1, bytes.length)];
  const shift = quirks.shift ?? 0;
  response.writeHead(206, {
    "content-range": `bytes ${begin + shift}-${end - 1 + shift}/${bytes.length}`,
    ...(quirks.etag ? { etag: quirks.etag() } : {}),
  });
  response.end(bytes.subarray(begin, Math.min(end, quirks.cutAt ?? end)));
}

const values = Float32Array.from({ length: 1000 }, (_, i) => i / 7);
const model = safetensors([{ name: "x", dtype: "F32", shape: [1000], bytes: new Uint8Array(values.buffer) }]);
const none = { waits: [] };

test("a file by ranges, through a redirect", async () => {
  const ranges: string[] = [];
  const base = await serve((request, response) => {
    if (request.url === "/old") return response.writeHead(302, { location: "/m.safetensors" }).end();
    ranges.push(request.headers.range ?? "");
    return answer(model, request, response);
  });
  const source = await openModelSource(`${base}/old`);
  const file = await openModelFile(source);
  expect(await readValues(file, "x")).toEqual(values);
  expect(ranges[0]).toBe("bytes=0-0");
  expect(ranges.every((range) => /^bytes=\d+-\d+$/.test(range))).toBe(true);
  await source.close();
});

test("a shard index and its shards beside it", async () => {
  const index = new TextEncoder().encode(JSON.stringify({ weight_map: { x: "a-00001-of-00001.safetensors" } }));
  const base = await serve((request, response) => answer(request.url?.endsWith(".json") ? index : model, request, response));
  const file = await openModelFile(await openUrl(`${base}/repo/a.safetensors.index.json`));
  expect(await readValues(file, "x")).toEqual(values);
});

test("name and password go into a header, and neither they nor the query into messages", async () => {
  const base = await serve((request, response) => {
    if (request.headers.authorization === `Basic ${btoa("me:secret")}`) return answer(model, request, response);
    return response.writeHead(401).end();
  });
  const source = await openUrl(`${base.replace("//", "//me:secret@")}/m?token=secret`, none);
  expect([source.name, source.size]).toEqual([`${base}/m`, model.length]);
  const refused = openUrl(`${base.replace("//", "//me:secret2@")}/m?token=secret`, none);
  await expect(refused).rejects.toMatchObject({ code: "NET_STATUS", message: expect.not.stringContaining("secret") });
});

describe("row 81 and 82: what a server may do", () => {
  test.each([
    ["no such file", 404, "NET_STATUS", /no such file/],
    ["gated", 401, "NET_STATUS", /does not let you/],
    ["out of order", 503, "NET_STATUS", /status 503/],
    ["empty", 416, "NET_RESPONSE", /empty/],
  ] as const)("%s", async (_, status, code, message) => {
    const base = await serve((_request, response) => response.writeHead(status).end());
    const error: unknown = await openUrl(`${base}/m`, none).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message), hint: expect.any(String) });
    expect(exitCodeOf(error)).toBe(9);
  });
  test.each([
    ["application/octet-stream", "NET_NO_RANGES"],
    ["text/html; charset=utf-8", "NET_RESPONSE"],
  ])("a whole answer of %s", async (type, code) => {
    const base = await serve((_request, response) => response.writeHead(200, { "content-type": type }).end("x".repeat(100)));
    await expect(openUrl(`${base}/m`, none)).rejects.toMatchObject({ code });
  });
  test("another range", async () => {
    const base = await serve((request, response) => answer(model, request, response, { shift: 1 }));
    await expect(openUrl(`${base}/m`, none)).rejects.toMatchObject({ code: "NET_RESPONSE" });
  });
  test("nobody there", async () => {
    const base = await serve(() => {});
    await new Promise((resolve) => servers.pop()!.close(resolve));
    await expect(openUrl(`${base}/m`, none)).rejects.toMatchObject({ code: "NET_UNREACHABLE" });
  });
  test("fails twice, then answers: read again", async () => {
    let calls = 0;
    const base = await serve((request, response) => {
      calls++;
      if (calls === 1) response.destroy();
      else if (calls === 2) response.writeHead(503).end();
      else answer(model, request, response);
    });
    expect((await openUrl(`${base}/m`, { waits: [1, 1] })).size).toBe(model.length);
    expect(calls).toBe(3);
  });
  test("a shorter answer than asked for is no answer", async () => {
    const base = await serve((request, response) => answer(model, request, response, { cutAt: 500 }));
    const source = await openUrl(`${base}/m`, none);
    await expect(source.read(0, model.length)).rejects.toMatchObject({
      code: "NET_RESPONSE",
      message: expect.stringContaining("500 bytes of"),
    });
  });
  test("row 23: another version in the middle", async () => {
    let calls = 0;
    const base = await serve((request, response) => answer(model, request, response, { etag: () => `"${calls++ < 2}"` }));
    const source = await openUrl(`${base}/m`, none);
    await expect(openSafetensors(source)).rejects.toMatchObject({ code: "CHECKPOINT_CHANGED" });
  });
});

test.each([
  ["http://example.com/m", /not encrypted/],
  ["ftp://example.com/m", /not encrypted/],
  ["https://", /no address/],
])("row 84: %s is refused before anything is sent", async (address, message) => {
  await expect(openUrl(address, none)).rejects.toMatchObject({ code: "NET_ADDRESS", message: expect.stringMatching(message) });
});

test("an aborted signal ends it", async () => {
  const base = await serve(() => {}); // never answers
  const control = new AbortController();
  const opening = openUrl(`${base}/m`, { signal: control.signal });
  control.abort(new Error("stop"));
  await expect(opening).rejects.toThrow("stop");
  servers.at(-1)?.closeAllConnections();
});
