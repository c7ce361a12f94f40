// Architecture or training? Two blocks, each trained in two ways, and what explains more of the difference.
/** @import { Handles } from "./modules" */
/** @import { FactorTable } from "./wire" */
import { make } from "./dom.js";
import { folding } from "./folds.js";
import { valued } from "./valued.js";
import { arrived } from "./ways.js";
import { say } from "./words.js";

/** @param {FactorTable} table */
const drawn = ({ axis, columns, rows }) => {
  const most = Math.max(1e-9, ...rows.flatMap(({ cells }) => cells.map(({ value }) => value)));
  return make("table", {}, make("caption", { text: say(axis) }),
    make("thead", {}, make("tr", {}, make("td", {}), ...columns.map(({ name, colour }) => make("th", { scope: "col" }, make("span", { class: "mark", style: `background:${colour}` }), say(name))))),
    make("tbody", {}, ...rows.map(({ name, cells }) => make("tr", {}, make("th", { scope: "row", text: say(name) }),
      ...cells.map(({ value, text }, at) => make("td", {}, say(text),
        make("span", { class: "track", "aria-hidden": "true" }, make("span", { class: "bar", style: `width:${(100 * Math.max(0, value)) / most}%;background:${columns[at].colour}` }))))))));
};

/** Draw one of the tables, which is chosen here, and draw it anew when their value changes. */
/** @param {HTMLElement} element @param {Pick<Handles, "props" | "watch">} handles */
export const factors = (element, handles) => {
  let chosen = 0;
  valued(element, handles, (root, /** @type {FactorTable[]} */ tables) => {
    if (!tables.length) { root.replaceChildren(); return; }
    chosen = Math.min(chosen, tables.length - 1);
    const outcome = make("div", { class: "outcome" });
    const draw = () => outcome.replaceChildren(drawn(tables[chosen]), make("p", { class: "sentence", "aria-live": "polite", text: say(tables[chosen].sentence) }));
    const select = make("select", { id: "factors-of", onchange: () => { chosen = select.selectedIndex; draw(); } },
      ...tables.map(({ name }, at) => make("option", { value: at, text: say(name), selected: at === chosen })));
    draw();
    root.replaceChildren(make("div", { class: "heading" }, make("h3", { text: say("Architecture or training?") }), make("label", { for: "factors-of", text: say("What is measured") }), select),
      outcome,
      folding("guide", say("How to read this"), make("p", { class: "hint", text: say("The two blocks are those that differ most after the first training, so the block's part is about as large as it gets here. In brackets 95 % intervals over seeds; effects are paired by seed.") })));
    arrived();
  });
};
