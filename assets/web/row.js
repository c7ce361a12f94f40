// One model's row: what it sees, what it answers, what it attends to, what its answer rests on.
import { showTop } from "./answer.js";
import { hear, tell } from "./bus.js";
import * as chosen from "./chosen.js";
import { make, write } from "./dom.js";
import { layersOf } from "./geometry.js";
import { compute } from "./method-fields.js";
import { badge, panel, read } from "./panel.js";
import { askFrom } from "./pins.js";
import { steer } from "./pointing.js";
import * as questions from "./question.js";
import { moveOf as moveNow } from "./scenery.js";
import { now } from "./shown.js";
import { say, sentence } from "./words.js";

const STILL = { linear: [[1, 0], [0, 1]], offset: [0, 0], cyclic: false };

const slider = (label, name, changed) => {
  const input = make("input", { type: "range", min: 0, step: 1, "aria-label": name, oninput: () => changed(Number(input.value)) });
  const output = make("output");
  const element = make("label", { class: "dial" }, make("span", { text: label }), input, output);
  const show = (value, most, text) => {
    input.max = most;
    input.value = value;
    input.disabled = most < 1;
    element.hidden = most < 1;
    write(output, text);
  };
  return { element, show };
};

/** The move as it is now: of a scene known here, of a picture as answered. */
const moveOf = (data) => {
  const question = questions.get();
  return question.scene ? moveNow(question) : data.move;
};

/** Make the row of the model in a place; `redraw` draws what it shows anew. */
export const makeRow = (index, redraw) => {
  const number = index + 1;
  const row = { index, layer: null, part: null, head: -1, map: null };
  row.badge = make("span", { class: "badge" });
  row.device = make("span", { class: "device" });
  row.headline = make("header", {});
  row.notes = make("ul", { class: "notes" });
  row.problem = make("p", { class: "problem", role: "alert", hidden: true });
  row.seen = panel("seen", say("Seen"));
  row.top = make("ol", { class: "top" });
  row.topReason = make("p", { class: "blank" });
  row.verdict = make("p", { class: "verdict" });
  row.key = make("p", { class: "key" }, make("span", { class: "swatch solid" }), say("now"), make("span", { class: "swatch thin" }), say("before"));
  row.attention = panel("attention", say("Attention"));
  row.attribution = panel("attribution", say("Attribution"));
  const choose = (change) => {
    Object.assign(row, change);
    redraw(row);
    tell("looked");
  };
  hear("layer", ({ model, path }) => {
    const data = model === index && now.answer && now.answer.rows[index];
    const found = data?.maps ? layersOf(data.maps).findIndex(({ module }) => path === module || path.startsWith(`${module} (`)) : -1;
    if (found >= 0) choose({ layer: found });
  });
  row.layerDial = slider(say("Layer"), say("Layer of model {number}", { number }), (value) => choose({ layer: value }));
  row.headDial = slider(say("Head"), say("Head of model {number}", { number }), (value) => choose({ head: value - 1 }));
  row.parts = make("select", { "aria-label": say("Part of the map of model {number}", { number }), onchange: () => choose({ part: row.parts.value }) });
  row.partDial = make("label", { class: "dial" }, make("span", { text: say("Map") }), row.parts);
  row.others = make("div", { class: "others" });
  row.attention.element.append(row.others, make("div", { class: "dials" }, row.layerDial.element, row.partDial, row.headDial.element));
  row.compute = make("button", { type: "button", class: "main", text: say("Compute"), hidden: true, onclick: () => compute() });
  row.attribution.blank.after(row.compute);
  row.panels = make("div", { class: "panels" },
    row.seen.element,
    make("section", { class: "panel answers" }, make("h3", { class: "title", text: say("Answer") }), row.topReason, row.top, row.verdict, row.key),
    row.attention.element, row.attribution.element);
  row.element = make("article", { class: "model" }, row.headline, row.problem, row.notes, row.panels);
  row.element.style.setProperty("--model", chosen.colour(index));
  for (const part of [row.seen, row.attention, row.attribution]) {
    const moved = () => now.look.view === "after";
    steer(part.canvas, {
      movable: moved,
      hover: (event) => {
        if (part !== row.seen) read(part, event);
        tell("hover");
      },
      ask: (place, event) => { if (row.data) askFrom(moved() ? moveOf(row.data) : STILL, place, event); },
    });
    part.canvas.addEventListener("pointerleave", () => { if (part.rest) write(part.reading, part.rest); });
  }
  return row;
};

/** Everything about a model's state and answer that is no picture. */
export const present = (row) => {
  const { data } = row;
  row.element.classList.remove("waiting");
  row.element.classList.toggle("failed", Boolean(data.error));
  row.problem.hidden = !data.error;
  write(row.problem, data.error ? sentence(data.error) : "");
  if (data.error) {
    badge(row.badge);
    write(row.device, "");
    row.notes.replaceChildren();
    return;
  }
  badge(row.badge, data.state, data.state_title);
  write(row.device, data.device);
  const lines = data.notes.map((line) => say(line));
  if (row.notes.textContent !== lines.join("")) row.notes.replaceChildren(...lines.map((text) => make("li", { text })));
  showTop(row);
};
