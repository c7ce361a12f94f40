// The laboratory's three largest findings: a sentence, and every block's number with its interval on one axis.
/** @import { Handles } from "./modules" */
/** @import { FindingRow, LargeFinding } from "./wire" */
import { waysOf } from "./cards.js";
import { make } from "./dom.js";
import { folding } from "./folds.js";
import { valued } from "./valued.js";
import { arrived } from "./ways.js";
import { say } from "./words.js";

//: About as many steps has an axis.
const STEPS = 4;

/** Round places on an axis from 0, or from below where a number lies there, to the largest, in hundredths. */
/** @param {FindingRow[]} rows */
const places = (rows) => {
  const least = Math.min(0, ...rows.map(({ value, low }) => 100 * (low ?? value)));
  const most = Math.max(1, ...rows.map(({ value, high }) => 100 * (high ?? value)));
  const step = [1, 2, 5, 10, 20, 25, 50].find((one) => (most - least) / one <= STEPS + 0.5) ?? 50;
  // A number that is hardly below 0 takes no room of its own.
  const first = least > -step / 4 ? 0 : Math.floor(least / step);
  return Array.from({ length: Math.ceil(most / step) - first + 1 }, (_, at) => (first + at) * step);
};

/** @param {LargeFinding} finding */
const figure = ({ rows, axis, caption }) => {
  const ticks = places(rows);
  const [first, last] = [ticks[0], ticks[ticks.length - 1]];
  const at = (/** @type {number} */ percent) => `${(100 * (percent - first)) / (last - first)}%`;
  const span = (/** @type {FindingRow} */ { low, high }) => (low === null || high === null ? null
    : make("span", { class: "interval", style: `left:${at(100 * low)};width:${(100 * 100 * (high - low)) / (last - first)}%` }));
  return make("figure", {},
    make("ul", { class: "intervals" }, ...rows.map((row) => make("li", { class: row.named ? "named" : "", style: row.named ? `--block:${row.colour}` : "" },
      make("span", { class: "name", text: say(row.name) }),
      make("span", { class: "line", "aria-hidden": "true" }, ...ticks.map((tick) => make("span", { class: "tick", style: `left:${at(tick)}` })),
        span(row), make("span", { class: "dot", style: `left:${at(100 * row.value)}` })),
      make("span", { class: "number", text: say(row.text) })))),
    make("div", { class: "axis", "aria-hidden": "true" }, make("span", { class: "line" }, ...ticks.map((tick) => make("span", { class: "at", style: `left:${at(tick)}`, text: `${tick}` })))),
    make("p", { class: "axis-title", text: say(axis) }),
    make("figcaption", {}, folding("guide", say("How to read this"), make("p", { text: say(caption) }))));
};

/** Draw the findings, and draw them anew when their value changes. */
/** @param {HTMLElement} element @param {Pick<Handles, "props" | "watch">} handles */
export const findings = (element, handles) => {
  valued(element, handles, (root, /** @type {LargeFinding[]} */ found) => {
    root.replaceChildren(make("div", { class: "large" }, ...found.map((one) => make("article", {},
      make("h3", { text: say(one.name) }), make("p", { class: "sentence", text: say(one.sentence) }), figure(one), waysOf(one)))));
    arrived();
  });
};
