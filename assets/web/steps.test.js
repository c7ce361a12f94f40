import assert from "node:assert/strict";
import { test } from "node:test";
import { PAUSE_MS, steps } from "./steps.js";

/** A history of a number that is shown, with a clock of its own. */
const begun = () => {
  const at = { shown: 0, time: 0, entries: [0] };
  const own = steps({ push: () => { at.entries.push(at.shown); }, now: () => at.time });
  const changes = (/** @type {number} */ to, later = 0) => { at.time += later; at.shown = to; own.did(); };
  return { ...own, at, changes };
};

test("a drag is one step, made when the hand lets go, however long it rests on the way", () => {
  const { at, changes, press, release, mayReplace } = begun();
  press(true);
  for (let place = 1; place <= 50; place++) changes(place, place === 25 ? 10 * PAUSE_MS : 16);
  assert.deepEqual(at.entries, [0]);
  // The entry before the drag stays as it was.
  assert.equal(mayReplace(), false);
  release();
  assert.deepEqual(at.entries, [0, 50]);
  assert.equal(mayReplace(), true);
});

test("keys held down are one step, and keys after a pause another", () => {
  const { at, changes } = begun();
  for (let place = 1; place <= 20; place++) changes(place, place === 2 ? 500 : 30);
  assert.deepEqual(at.entries, [0, 1]);
  changes(21, PAUSE_MS + 1);
  assert.deepEqual(at.entries, [0, 1, 21]);
});

test("two presses are two steps, however fast", () => {
  const { at, changes, press, release } = begun();
  for (const place of [1, 2]) {
    press(true);
    release();
    press(false);
    changes(place, 10);
    changes(place, 10); // as models and question change together
  }
  assert.deepEqual(at.entries, [0, 1, 2]);
});

test("a press that changes nothing makes no step", () => {
  const { at, press, release } = begun();
  press(true);
  release();
  press(false);
  assert.deepEqual(at.entries, [0]);
});

test("a hand whose letting go was never heard has its step at the next press", () => {
  const { at, changes, press } = begun();
  press(true);
  changes(1);
  press(true);
  assert.deepEqual(at.entries, [0, 1]);
});

test("a hand that is overtaken by Back makes no step", () => {
  const { at, changes, press, release, forget, mayReplace } = begun();
  press(true);
  changes(1);
  forget();
  release();
  assert.deepEqual(at.entries, [0]);
  assert.equal(mayReplace(), true);
});
