import assert from "node:assert/strict";
import { test } from "node:test";
import { backward, carried, cell, forward, headOf, inverse, layersOf, lines, moveIn, pullBack, reach } from "./geometry.js";

/** @import { Place } from "./view" */
/** @import { Move } from "./wire" */

/** @type {Move} */
const STILL = { linear: [[1, 0], [0, 1]], offset: [0, 0], cyclic: false };
/** @param {Partial<Parameters<typeof moveIn>[0]>} change */
const asked = (change) => ({ scene: null, dx: 0, dy: 0, zoom: 1, angle: 0, flip: false, border: "zero", ...change });
/** @param {number} one @param {number} two */
const close = (one, two) => assert.ok(Math.abs(one - two) < 1e-9, `${one} is not ${two}`);
/** @param {Place | null} one @param {Place | null} two */
const closePlace = (one, two) => { assert.ok(one && two); close(one.x, two.x); close(one.y, two.y); };

test("a shift carries a place by its share of the frame, and out of it", () => {
  const move = moveIn(asked({ dx: 56, dy: -28 }), [224, 224]);
  closePlace(carried(move, { x: 0.5, y: 0.5 }), { x: 0.75, y: 0.375 });
  assert.equal(forward(move, { x: 0.8, y: 0.5 }), null);
  assert.equal(backward(move, { x: 0.1, y: 0.5 }), null);
});

test("a turn by 90 degrees of a frame that is twice as wide as high", () => {
  const move = moveIn(asked({ angle: 90 }), [100, 200]);
  // Counter-clockwise in pixels: a point right of the middle goes up, half as far in shares of the width as of the height.
  closePlace(carried(move, { x: 0.75, y: 0.5 }), { x: 0.5, y: 0 });
});

test("a mirrored place keeps its height; a scene is not mirrored and turns about its object", () => {
  closePlace(carried(moveIn(asked({ flip: true }), [10, 10]), { x: 0.2, y: 0.3 }), { x: 0.8, y: 0.3 });
  const scene = { dx: 0.25, dy: 0 };
  closePlace(carried(moveIn(asked({ scene, flip: true, zoom: 2 }), [10, 10]), { x: 0.75, y: 0.5 }), { x: 0.75, y: 0.5 });
  closePlace(carried(moveIn(asked({ scene, zoom: 2 }), [10, 10]), { x: 0.85, y: 0.5 }), { x: 0.95, y: 0.5 });
});

test("backward undoes forward, for every kind of move", () => {
  for (const change of [{ dx: 3, dy: 7 }, { zoom: 1.3 }, { angle: 33 }, { flip: true, dx: 4 }, { zoom: 0.7, angle: -120, dy: 2 }]) {
    const move = moveIn(asked(change), [48, 64]);
    for (const place of [{ x: 0.4, y: 0.6 }, { x: 0.55, y: 0.45 }]) {
      const there = forward(move, place);
      assert.ok(there);
      closePlace(backward(move, there), place);
      closePlace(carried(inverse(move), there), place);
    }
  }
});

test("at a border that wraps, what leaves on one side comes in on the other", () => {
  const move = moveIn(asked({ dx: 60, border: "wrap" }), [100, 100]);
  assert.equal(move.cyclic, true);
  closePlace(forward(move, { x: 0.7, y: 0.2 }), { x: 0.3, y: 0.2 });
  closePlace(backward(move, { x: 0.3, y: 0.2 }), { x: 0.7, y: 0.2 });
  assert.equal(moveIn(asked({ dx: 60, zoom: 1.1, border: "wrap" }), [100, 100]).cyclic, false);
});

test("cells count row by row, and the frame's end belongs to the last", () => {
  assert.equal(cell({ x: 0, y: 0 }, [3, 4]), 0);
  assert.equal(cell({ x: 0.3, y: 0.4 }, [3, 4]), 5);
  assert.equal(cell({ x: 1, y: 1 }, [3, 4]), 11);
});

test("pulled back, a map that moved with the picture is what it was, and what left is not valid", () => {
  const before = Float32Array.from({ length: 16 }, (_, at) => at);
  const moved = Float32Array.from({ length: 16 }, (_, at) => (at % 4 ? before[at - 1] : 99));
  const { values, valid } = pullBack(moved, 4, 4, moveIn(asked({ dx: 25 }), [100, 100]));
  for (let at = 0; at < 16; at++) {
    assert.equal(valid[at], at % 4 < 3 ? 1 : 0);
    if (valid[at]) close(values[at], before[at]);
  }
  const still = pullBack(before, 4, 4, STILL);
  assert.deepEqual([...still.values], [...before]);
  assert.ok(still.valid.every((one) => one === 1));
});

test("a map of a picture that was made twice as large is averaged, not picked from", () => {
  const large = Float32Array.from({ length: 16 }, (_, at) => (at % 2 ? 1 : 3));
  const { values, valid } = pullBack(large, 4, 4, moveIn(asked({ zoom: 2 }), [100, 100]));
  assert.ok(values.every((value, at) => !valid[at] || Math.abs(value - 2) < 1e-6));
  assert.equal(valid.reduce((sum, one) => sum + one, 0), 4);
});

test("a shift at a border that wraps is undone exactly", () => {
  const values = Float32Array.from({ length: 12 }, (_, at) => at * at);
  const shifted = values.map((_, at) => values[3 * Math.floor(at / 3) + ((at + 2) % 3)]);
  const back = pullBack(shifted, 4, 3, moveIn(asked({ dx: 10, border: "wrap" }), [40, 30]));
  assert.deepEqual([...back.values], [...values]);
});

test("one head, and the mean of all", () => {
  const rows = { values: Float32Array.from([1, 2, 3, 5]), heads: 2 };
  assert.deepEqual([...headOf(rows, 2, 1)], [3, 5]);
  assert.deepEqual([...headOf(rows, 2, -1)], [2, 3.5]);
});

test("an axial map speaks of its row, its column or both; others of all", () => {
  const sum = (/** @type {Uint8Array} */ cells) => cells.reduce((total, one) => total + one, 0);
  const at = { x: 0.4, y: 0.1 };
  assert.deepEqual([...lines("row", [2, 3], at)], [1, 1, 1, 0, 0, 0]);
  assert.deepEqual([...lines("column", [2, 3], at)], [0, 1, 0, 0, 1, 0]);
  assert.equal(sum(lines("cross", [2, 3], at)), 4);
  assert.equal(reach({ kind: "pairwise", part: "row", grid: [2, 3] }, at), null);
  assert.equal(reach({ kind: "axial", part: "row", grid: [2, 3] }, null), null);
});

test("several maps of one module are parts of one layer", () => {
  const maps = [{ module: "a", part: "" }, { module: "b", part: "row" }, { module: "b", part: "column" }, { module: "b", part: "" }];
  assert.deepEqual(layersOf(maps), [{ module: "a", numbers: [0] }, { module: "b", numbers: [1, 2] }, { module: "b", numbers: [3] }]);
});
