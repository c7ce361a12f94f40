import assert from "node:assert/strict";
import { test } from "node:test";
import { learn, msg, say, sayClass, sentence } from "./words.js";

/** @param {number} number */
const seeds = (number) => ({ template: "{n} seed", plural: "{n} seeds", number, values: { n: number } });

test("without a table texts are English, filled in", () => {
  assert.equal(say("{count} of {all}", { count: 2, all: 3 }), "2 of 3");
  assert.equal(say("{unknown} stays", {}), "{unknown} stays");
  assert.equal(say("no values: {as it is}"), "no values: {as it is}");
  assert.equal(say(""), "");
  assert.equal(msg("Scale"), "Scale");
  assert.deepEqual([0, 1, 2].map((n) => say(seeds(n))), ["0 seeds", "1 seed", "2 seeds"]);
});

test("a text is looked up by its template and nothing of it is parsed; names in its places stay", () => {
  learn({ texts: { "{what} of {name}": "{name}: {what}", star: "stella", "a b": "A B" }, plurals: [], names: ["star"] });
  assert.equal(say("{what} of {name}", { what: "star", name: "star" }), "star: star");
  assert.equal(say({ template: "{what} of {name}", values: { what: { template: "star", values: {} }, name: "star" } }), "star: stella");
  assert.equal(say("{what} of {name}", { what: "$&", name: "{what}" }), "{what}: $&");
  assert.equal(say("a b and more"), "a b and more");
  assert.equal(sayClass("star (3)"), "stella (3)");
  assert.equal(sayClass("a b"), "a b");
  assert.equal(sentence("a b"), "A B");
  assert.equal(sentence("öffne es"), "Öffne es");
});

test("plurals follow the catalogue's rule, beyond its list too", () => {
  const polish = (/** @type {number} */ n) => (n === 1 ? 0 : n % 10 >= 2 && n % 10 <= 4 && (n % 100 < 10 || n % 100 >= 20) ? 1 : 2);
  learn({ texts: { "{n} seed": ["{n} A", "{n} B", "{n} C"] }, plurals: Array.from({ length: 200 }, (_, n) => polish(n)), names: [] });
  for (const n of [0, 1, 2, 5, 12, 22, 101, 102, 112, 199, 200, 1002, 1012, 4321]) {
    assert.equal(say(seeds(n)), `${n} ${"ABC"[polish(n)]}`);
  }
});
