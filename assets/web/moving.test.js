import assert from "node:assert/strict";
import { test } from "node:test";
import { caption, eased, headsOf, kindOf, strongest } from "./moving.js";

/** @typedef {import("./wire").ExamplePanel} Panel */
/** @param {Partial<Panel>} change @returns {Panel} */
const panel = (change) => ({ title: "Map", unit: "", picture: true, of: 1, rows: 2, columns: 3, values: [0.1, 0, 0.4, 0.2, 0.3, 0], low: 0, high: 1, ...change });

test("the strongest keys are the largest values, in the middle of their cells", () => {
  const own = panel({});
  assert.deepEqual(strongest(own.values, own, { x: 0, y: 0 }, 2), [{ x: 2.5 / 3, y: 0.25, weight: 0.4 }, { x: 1.5 / 3, y: 0.75, weight: 0.3 }]);
  // A weight of 0 is no line.
  assert.equal(strongest(own.values, own, { x: 0, y: 0 }).length, 4);
  assert.deepEqual(strongest([0, 0, 0, 0, 0, 0], own, { x: 0, y: 0 }), []);
});

test("keys of a map along a line lie on the query's line", () => {
  const own = panel({ line: "row" });
  assert.deepEqual(strongest(own.values, own, { x: 0.9, y: 0.9 }).map(({ weight }) => weight), [0.3, 0.2]);
  assert.deepEqual(strongest(own.values, { ...own, line: "column" }, { x: 0.9, y: 0.9 }).map(({ weight }) => weight), [0.4]);
});

test("a block is shown by what its maps are", () => {
  assert.equal(kindOf([panel({ kind: "pairwise", asked: true })]), "lines");
  assert.equal(kindOf([panel({ kind: "gate" })]), "shutters");
  assert.equal(kindOf([panel({ kind: "context" })]), "summary");
  assert.equal(kindOf([panel({ kind: "channel", picture: false })]), "bars");
  assert.equal(kindOf([panel({ kind: "gate", picture: false }), panel({ kind: "gate" })]), "shutters");
  assert.equal(kindOf([panel({})]), ""); // Grad-CAM is no block's work
  assert.equal(kindOf([]), "");
  assert.equal(headsOf([panel({ asked: true, heads: [[1], [2], [3]] })]), 3);
  assert.equal(headsOf([panel({ kind: "gate" })]), 1);
});

test("time is slow at both ends and stays within them", () => {
  assert.deepEqual([0, 0.2, 0.4, 0.6, 1].map((time) => Math.round(1000 * eased(time, 0.2, 0.6)) / 1000), [0, 0, 0.5, 1, 1]);
});

test("every moment has a caption, and halves of what has two differ", () => {
  for (const own of [panel({ kind: "pairwise", asked: true }), panel({ kind: "context" })]) assert.ok(caption([own], 0.1) !== caption([own], 0.9));
  for (const own of [panel({ kind: "gate" }), panel({ kind: "channel", picture: false }), panel({ kind: "gate", picture: false, rows: 1 })]) assert.ok(caption([own], 0.3).length > 20);
});
