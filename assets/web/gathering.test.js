import assert from "node:assert/strict";
import { test } from "node:test";
import { gathered } from "./gathering.js";

/** @param {string} name @param {string} above */
const file = (name, above) => ({ isFile: true, name, fullPath: `${above}/${name}`, file: (/** @type {(one: object) => void} */ done) => done({ name }) });
/** A folder that tells of two entries at a time, as browsers tell of a hundred. */
/** @param {string} name @param {object[]} inside */
const folder = (name, inside) => ({ isFile: false, name, fullPath: `/${name}`, createReader: () => {
  let at = 0;
  return { readEntries: (/** @type {(some: object[]) => void} */ done) => { done(inside.slice(at, at + 2)); at += 2; } };
} });
/** @param {object[]} entries @returns {any} */
const dropped = (...entries) => ({ items: entries.map((entry) => ({ webkitGetAsEntry: () => entry })) });

test("a dropped folder is read to its end, with where each file lies", async () => {
  const { found, left } = await gathered(dropped(folder("set", [file("notes.txt", "/set"), file("1.jpg", "/set"), file("2.JPG", "/set"), file("3.jpg", "/set")])), [".jpg"], 10);
  assert.deepEqual(found.map(({ name }) => name), ["set/1.jpg", "set/2.JPG", "set/3.jpg"]);
  assert.equal(left, 1);
});

test("files of other kinds do not hide that there are too many", async () => {
  const others = Array.from({ length: 9 }, (_, at) => file(`${at}.txt`, "/set"));
  const pictures = Array.from({ length: 9 }, (_, at) => file(`${at}.jpg`, "/set"));
  const { found } = await gathered(dropped(folder("set", [...others, ...pictures])), [".jpg"], 3);
  assert.equal(found.length, 4);
});
