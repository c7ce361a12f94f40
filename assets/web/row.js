// One model's row: what it sees, what it answers, what it attends to, what its answer rests on.
/** @import { Dial, Row } from "./modules" */
/** @import { Answered, Move } from "./wire" */
import { showTop } from "./answer.js";
import { hear, tell } from "./bus.js";
import { make, write } from "./dom.js";
import { layersOf } from "./geometry.js";
import { compute } from "./method-fields.js";
import { badge, panel, read } from "./panel.js";
import { askFrom } from "./pins.js";
import { steer } from "./pointing.js";
import * as questions from "./question.js";
import { moveOf as moveNow } from "./scenery.js";
import { hasAnswered, isAnswered, now } from "./shown.js";
import * as state from "./state.js";
import { say, sentence } from "./words.js";

/** @type {Move} */
const STILL = { linear: [[1, 0], [0, 1]], offset: [0, 0], cyclic: false };

/** @param {string} label @param {string} name @param {(value: number) => void} changed @returns {Dial} */
const slider = (label, name, changed) => {
  const input = make("input", { type: "range", min: 0, step: 1, "aria-label": name, oninput: () => changed(Number(input.value)) });
  const output = make("output");
  const element = make("label", { class: "dial" }, make("span", { text: label }), input, output);
  /** @type {Dial["show"]} */
  const show = (value, most, text) => {
    input.max = String(most);
    input.value = String(value);
    input.disabled = most < 1;
    element.hidden = most < 1;
    write(output, text);
  };
  return { element, show };
};

/** The move as it is now: of a scene known here, of a picture as answered. */
/** @param {Answered} data */
const moveOf = (data) => {
  const question = questions.get();
  return question.scene ? moveNow(question) : data.move;
};

/** The elements of a row, and the row as it begins. */
/** @param {number} index @param {(change: Partial<Row>) => void} choose @returns {Row} */
const begun = (index, choose) => {
  const number = index + 1;
  const parts = make("select", { "aria-label": say("Part of the map of model {number}", { number }), onchange: () => choose({ part: parts.value }) });
  return {
    index, data: null, answer: null, layer: null, part: null, head: -1, map: null, missing: false,
    element: make("article", { class: "model" }),
    headline: make("header"),
    badge: make("span", { class: "badge" }),
    device: make("span", { class: "device" }),
    notes: make("ul", { class: "notes" }),
    problem: make("p", { class: "problem", role: "alert", hidden: true }),
    top: make("ol", { class: "top" }),
    topReason: make("p", { class: "blank" }),
    verdict: make("p", { class: "verdict" }),
    key: make("p", { class: "key" }, make("span", { class: "swatch solid" }), say("now"), make("span", { class: "swatch thin" }), say("before")),
    seen: panel("seen", say("Seen")),
    attention: panel("attention", say("Attention")),
    attribution: panel("attribution", say("Attribution")),
    layerDial: slider(say("Layer"), say("Layer of model {number}", { number }), (value) => choose({ layer: value })),
    headDial: slider(say("Head"), say("Head of model {number}", { number }), (value) => choose({ head: value - 1 })),
    parts,
    partDial: make("label", { class: "dial" }, make("span", { text: say("Map") }), parts),
    others: make("div", { class: "others" }),
    heads: make("div", { class: "heads", role: "group", "aria-label": say("Heads of model {number}", { number }), hidden: true }),
    chooseHead: (head) => choose({ head }),
    compute: make("button", { type: "button", class: "main", text: say("Compute"), hidden: true, onclick: () => compute() }),
  };
};

/** Make the row of the model in a place; `redraw` draws what it shows anew. */
/** @param {number} index @param {(row: Row) => void} redraw */
export const makeRow = (index, redraw) => {
  /** @param {Partial<Row>} change */
  const choose = (change) => {
    Object.assign(row, change);
    redraw(row);
    tell("looked");
    state.did();
  };
  const row = begun(index, choose);
  hear("layer", ({ model, path }) => {
    const data = model === index ? now.answer?.rows[index] : null;
    const found = isAnswered(data) ? layersOf(data.maps).findIndex(({ module }) => path === module || path.startsWith(`${module} (`)) : -1;
    if (found >= 0) choose({ layer: found });
  });
  row.attention.element.append(row.others, make("div", { class: "dials" }, row.layerDial.element, row.partDial, row.headDial.element, row.heads));
  row.attribution.blank.after(row.compute);
  row.element.append(row.headline, row.problem, row.notes, make("div", { class: "panels" },
    row.seen.element,
    make("section", { class: "panel answers" }, make("h3", { class: "title", text: say("Answer") }), row.topReason, row.top, row.verdict, row.key),
    row.attention.element, row.attribution.element));
  for (const part of [row.seen, row.attention, row.attribution]) {
    const moved = () => now.look.view === "after";
    steer(part.canvas, {
      movable: moved,
      hover: (event) => {
        if (part !== row.seen) read(part, event);
        tell("hover");
      },
      ask: (place, event) => { if (isAnswered(row.data)) askFrom(moved() ? moveOf(row.data) : STILL, place, event); },
    });
    part.canvas.addEventListener("pointerleave", () => { if (part.rest) write(part.reading, part.rest); });
  }
  return row;
};

/** Everything about a model's state and answer that is no picture. */
/** @param {Row} row */
export const present = (row) => {
  const { data } = row;
  if (!data) return;
  row.element.style.setProperty("--model", data.colour);
  row.element.classList.remove("waiting");
  row.element.classList.toggle("failed", !isAnswered(data));
  row.problem.hidden = isAnswered(data);
  write(row.problem, data.error ? sentence(data.error) : "");
  if (!isAnswered(data)) {
    badge(row.badge);
    write(row.device, "");
    row.notes.replaceChildren();
    return;
  }
  badge(row.badge, data.state, data.state_title);
  write(row.device, data.device);
  const lines = data.notes.map((line) => say(line));
  if (row.notes.textContent !== lines.join("")) row.notes.replaceChildren(...lines.map((text) => make("li", { text })));
  if (hasAnswered(row)) showTop(row);
};
