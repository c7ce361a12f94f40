import assert from "node:assert/strict";
import { test } from "node:test";
import { axis, called, csv, extent, ordered, said, ticks } from "./board.js";

/** @typedef {import("./board.js").Board} Board */
/** @typedef {import("./board.js").State} State */

/** @param {number} value @param {number | null} low @param {number | null} high */
const cell = (value, low = null, high = null) => ({ value, low, high, n: 3, interval: "", link: "" });
const models = ["lab/b", "lab/a#10", "lab/a#2", "tv:c"].map((name) => ({ name, title: name, colour: "#000", weights: "lab" }));
/** @type {Board} */
const board = {
  models,
  measures: [],
  cells: { "lab/b": { m: cell(2, 1, 3) }, "lab/a#10": { m: cell(5) }, "lab/a#2": { m: cell(2) }, "tv:c": {} },
  missing: {},
  target: "_blank",
};
/** @type {State} */
const state = { by: "", down: true, text: "", shown: new Set(["m"]), x: "m", y: "m" };
/** @param {Partial<State>} changed */
const names = (changed) => ordered(board, { ...state, ...changed }).map((one) => one.name);

test("rows stand as they were measured until a column is asked for, those without a number last", () => {
  assert.deepEqual(names({}), models.map((one) => one.name));
  assert.deepEqual(names({ by: "m" }), ["lab/a#10", "lab/b", "lab/a#2", "tv:c"]);
  assert.deepEqual(names({ by: "m", down: false }), ["lab/b", "lab/a#2", "lab/a#10", "tv:c"]);
  assert.deepEqual(names({ by: "model", down: false }), ["lab/a#2", "lab/a#10", "lab/b", "tv:c"]);
});

test("every word of the filter has to be in the name", () => {
  assert.deepEqual(names({ text: " LAB  #1" }), ["lab/a#10"]);
  assert.deepEqual(names({ text: "none" }), []);
});

test("a column's scale goes from end to end of its intervals, and has a length where all are equal", () => {
  assert.deepEqual(extent(board, "m"), [1, 5]);
  assert.deepEqual(extent({ ...board, cells: { "lab/b": { m: cell(2) } } }, "m"), [1.5, 2.5]);
  assert.equal(extent(board, "other"), null);
});

test("an axis has round numbers within its ends", () => {
  assert.deepEqual(ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks(-0.13, 0.32, 5), [-0.1, 0, 0.1, 0.2, 0.3]);
  assert.deepEqual(ticks(1210, 1690, 5), [1300, 1400, 1500, 1600]);
});

test("numbers have three digits that count", () => {
  assert.deepEqual([0.8333, 12, 0, -0.5, 123456, 0.0000123].map(said), ["0.833", "12.0", "0.00", "\u22120.500", "1.2e+5", "1.2e\u22125"]);
});

test("a table keeps commas and quotes", () => {
  assert.equal(csv([["a,b", 1, null], ['say "x"', 0.5, "c"]]), '"a,b",1,\r\n"say ""x""",0.5,c\r\n');
});

test("axes say what tells them apart, and no more", () => {
  /** @type {import("./board.js").Measure} */
  const one = { id: "0", data: "val", probe: "translation", parameters: "side 9", measure: "p kept", unit: "share", better: "none", headline: true, question: "" };
  assert.equal(axis(one, { ...one, measure: "flips" }), "p kept, share (translation)");
  assert.equal(axis(one, { ...one, parameters: "" }), "p kept, share (translation, side 9)");
  assert.equal(axis({ ...one, unit: "" }, { ...one, parameters: "", data: "test" }), "p kept (translation, side 9, val)");
});

test("a model is called by its title, where others share it by its name", () => {
  const [a, b, c] = [["lab/mhsa", "Self-attention"], ["lab/mhsa#1", "Self-attention"], ["lab/conv", "Convolution"]].map(([name, title]) => ({ name, title, colour: "#000", weights: "lab" }));
  const some = { ...board, models: [a, b, c] };
  assert.deepEqual(some.models.map((one) => called(some, one)), ["lab/mhsa", "lab/mhsa#1", "Convolution"]);
  assert.deepEqual(ordered(some, { ...state, text: "self #1" }).map((one) => one.name), ["lab/mhsa#1"]);
});
