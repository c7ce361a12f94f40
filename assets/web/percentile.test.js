import assert from "node:assert/strict";
import { test } from "node:test";
import { percentiles, ranked } from "./percentile.js";

test("percentiles go from 0 to 100 by rank, whatever the values are", () => {
  assert.deepEqual([...percentiles([0.2, 1000, 0.1, 0.3, 7])], [25, 100, 0, 50, 75]);
});

test("equal values have the middle of their ranks", () => {
  assert.deepEqual([...percentiles([1, 5, 5, 9, 5])], [0, 50, 50, 100, 50]);
  assert.deepEqual([...percentiles([3, 3, 3])], [50, 50, 50]);
  assert.deepEqual([...percentiles([3])], [50]);
});

test("what is not valid has no rank and takes none", () => {
  assert.deepEqual([...percentiles([9, 1, 2, NaN, 3], [0, 1, 1, 1, 1])], [NaN, 0, 50, NaN, 100]);
});

test("a map about zero keeps its signs", () => {
  const map = { values: [-8, 0, 1, 2], rows: 2, columns: 2, valid: null, range: { map: "diverging", low: -8, high: 8 } };
  const { values, range } = ranked(map);
  assert.deepEqual([...values].map((one) => Math.round(one)), [-100, 0, 33, 67]);
  assert.deepEqual([range.low, range.high], [-100, 100]);
  assert.equal(ranked({ ...map, values: [8, 0, 1, 2], range: { map: "sequential", low: 0, high: 8 } }).range.low, 0);
});
