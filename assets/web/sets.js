// Matched sets: published models that differ in their attention, side by side in one click, and what differs besides.
/** @import { Handles } from "./modules" */
/** @import { SetsOptions, SetsServer, SetTable } from "./wire" */
import { hear } from "./bus.js";
import * as chosen from "./chosen.js";
import { make, need } from "./dom.js";
import { asking } from "./live.js";
import { say } from "./words.js";

/** @param {SetTable} found */
const table = ({ columns }) => make("table", {},
  make("thead", {}, make("tr", {}, ...columns.map(({ title }) => make("th", { scope: "col", text: say(title) })))),
  make("tbody", {}, ...columns[0].values.map((_, row) => make("tr", {}, ...columns.map(({ values }, column) => make(column ? "td" : "th", { ...(column ? {} : { scope: "row" }), text: values[row] }))))));

/** Draw a button a set; the table of the one that is shown follows. */
/** @param {HTMLElement} element @param {Pick<Handles<unknown, SetsOptions, SetsServer>, "options" | "server">} handles */
export const sets = (element, { options, server }) => {
  const told = make("div", { class: "told" });
  /** What is shown below the buttons. */
  let of = "";
  const ask = asking(server.columns, {
    deliver: (/** @type {SetTable} */ found) => { if (found.name === of) told.replaceChildren(table(found)); },
    failed: (why) => told.replaceChildren(make("p", { class: "hint", text: why })),
  });
  const buttons = options.sets.map(({ title, models }) => make("button", { type: "button", text: title, title: models.join(", "), onclick: () => chosen.set(models) }));
  const mark = () => {
    const at = options.sets.findIndex(({ models }) => JSON.stringify(models) === JSON.stringify(chosen.models()));
    buttons.forEach((button, index) => { button.ariaPressed = String(index === at); });
    const name = at < 0 ? "" : options.sets[at].name;
    if (name === of) return;
    of = name;
    told.replaceChildren();
    if (name) ask(() => ({ name: of }));
  };
  hear("models", mark);
  need(element, ".part").replaceChildren(make("details", {},
    make("summary", { text: say("Published models that differ in their attention") }),
    make("p", { class: "hint", text: say("A click opens a set side by side. Read from timm, not measured: what else its models do not share.") }),
    make("div", { class: "names" }, ...buttons), told));
  mark();
};
