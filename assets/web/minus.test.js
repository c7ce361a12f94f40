import assert from "node:assert/strict";
import { test } from "node:test";
import { minus, regrid, shareOn, shares } from "./minus.js";

const map = (/** @type {number[]} */ values, rows = 2, columns = 2, valid = null) => ({ values, rows, columns, valid });
const near = (/** @type {ArrayLike<number>} */ got, /** @type {number[]} */ expected) => {
  assert.equal(got.length, expected.length);
  for (const [at, value] of expected.entries()) assert.ok(Math.abs(got[at] - value) < 1e-5, `${got[at]} is ${value}`);
};

test("shares are of what is positive and valid", () => {
  near(shares(map([1, -5, 3, 0])) ?? [], [0.25, 0, 0.75, 0]);
  near(shares({ ...map([1, 9, 3, NaN]), valid: [1, 0, 1, 0] }) ?? [], [0.25, 0, 0.75, 0]);
  assert.equal(shares(map([0, -1, 0, 0])), null);
});

test("on another grid every share is spread over its own area, and the sum stays", () => {
  near(regrid(Float64Array.of(1, 0, 0, 0), [2, 2], [4, 4]), [0.25, 0.25, 0, 0, 0.25, 0.25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  const spread = regrid(Float64Array.of(0.2, 0.3, 0.5), [1, 3], [2, 2]);
  near(spread, [0.175, 0.325, 0.175, 0.325]);
});

test("a map minus itself, scaled, is zero everywhere and orders its cells alike", () => {
  const found = minus(map([1, 2, 3, 4]), map([10, 20, 30, 40]));
  near(found?.values ?? [], [0, 0, 0, 0]);
  assert.ok(Math.abs((found?.alike ?? 0) - 1) < 1e-6);
  assert.equal(found?.resampled, false);
});

test("the difference is in percentage points, and turned round it has the other sign", () => {
  const [a, b] = [map([1, 1, 2, 0]), map([0, 4, 3, 1])];
  near(minus(a, b)?.values ?? [], [25, -25, 12.5, -12.5]);
  near(minus(b, a)?.values ?? [], [-25, 25, -12.5, 12.5]);
  assert.ok(Math.abs((minus(map([1, 2, 3, 4]), map([4, 3, 2, 1]))?.alike ?? 0) + 1) < 1e-6);
});

test("of two grids the finer one is taken, and it is said", () => {
  const found = minus(map([1, 0, 0, 0]), map([...Array(16).fill(1)], 4, 4));
  assert.deepEqual([found?.rows, found?.columns, found?.resampled], [4, 4, true]);
  near([found?.values[0] ?? 0, found?.values[15] ?? 0], [25 - 6.25, -6.25]);
});

test("what is not valid in one is not valid in the difference", () => {
  const found = minus({ ...map([1, 1, 1, 1]), valid: [0, 1, 1, 1] }, map([...Array(16).fill(1)], 4, 4));
  assert.deepEqual([...(found?.valid ?? [])], [0, 0, 1, 1, 0, 0, 1, 1, ...Array(8).fill(1)]);
  assert.equal(minus(map([0, 0, 0, 0]), map([1, 1, 1, 1])), null);
});

test("the share on an object is that of the weight in its area", () => {
  const left = { values: [255, 0], rows: 1, columns: 2 };
  near([shareOn(map([1, 1, 2, 0]), left) ?? 0], [0.75]);
  // Half of a cell is half of its weight.
  const edge = { values: [0, 0, 255, 255, 255, 255, 255, 255], rows: 1, columns: 8 };
  near([shareOn(map([4, 0, 0, 4], 1, 4), edge) ?? 0], [0.5]);
  near([shareOn(map([1, 3], 1, 2), { values: [255, 0, 0, 0], rows: 1, columns: 4 }) ?? 0], [0.125]);
});
