import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { withTexts } from "./png-text.js";

test("a text stands behind the first chunk, with its check sum, and nothing else changes", () => {
  const png = Uint8Array.from({ length: 60 }, (_, at) => at);
  const [first, chunk, rest] = withTexts(png, { Source: "https://a.b/#图" });
  assert.deepEqual([...first, ...rest], [...png]);
  assert.equal(first.length, 33);
  const view = new DataView(chunk.buffer);
  const said = new TextEncoder().encode("iTXtSource\0\0\0\0\0https://a.b/#图");
  assert.equal(view.getUint32(0), said.length - 4);
  assert.deepEqual(chunk.subarray(4, -4), said);
  assert.equal(view.getUint32(chunk.length - 4), crc32(said));
});
