import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, digits, numbers } from "./numbers.js";

test("float16 numbers are what IEEE 754 says", () => {
  const raw = new Uint16Array([0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0xfc00, 0x8000, 0x3555, 0x7e00]);
  const found = numbers(new Uint8Array(raw.buffer), { o: 0, s: [9], t: "f2" });
  assert.deepEqual([...found.slice(0, 6)], [1, -2, 2 ** -24, 65504, Infinity, -Infinity]);
  assert.ok(Object.is(found[6], -0));
  assert.ok(Math.abs(found[7] - 1 / 3) < 1e-4);
  assert.ok(Number.isNaN(found[8]));
});

test("a part of an array, of every type, at its place in the blob", () => {
  const blob = new Uint8Array(32);
  new Float32Array(blob.buffer, 8, 3).set([1.5, 2.5, 3.5]);
  new Int32Array(blob.buffer, 20, 2).set([-1, 7]);
  blob.set([4, 5], 28);
  assert.deepEqual([...numbers(blob, { o: 8, s: [3], t: "f4" }, 1)], [2.5, 3.5]);
  assert.deepEqual([...numbers(blob, { o: 8, s: [3, 1], t: "f4" }, 0, 2)], [1.5, 2.5]);
  assert.deepEqual([...numbers(blob, { o: 20, s: [2], t: "i4" })], [-1, 7]);
  assert.deepEqual([...numbers(blob, { o: 28, s: [2], t: "u1" })], [4, 5]);
});

test("base64 is bytes", () => {
  assert.deepEqual([...bytes("AAH/")], [0, 1, 255]);
});

test("three significant digits, and powers of ten where they would be long", () => {
  assert.equal(digits(0), "0");
  assert.equal(digits(0.123456), "0.123");
  assert.equal(digits(-1234.5), "-1230");
  assert.equal(digits(99999), "100000");
  assert.equal(digits(1.26e7), "1.3 × 10⁷");
  assert.equal(digits(-4.5e-12), "-4.5 × 10⁻¹²");
  assert.equal(digits(NaN), "not a number");
  assert.equal(digits(-Infinity), "not a number");
});
