// A table: a row a block or a model, sorted by the column that is clicked.
/** @import { Handles } from "./modules" */
/** @import { TableCell, TableSheet, Text } from "./wire" */
import { make } from "./dom.js";
import { valued } from "./valued.js";
import { say } from "./words.js";

/** Draw a table, and draw it anew when its value changes. */
/** @param {HTMLElement} element @param {Pick<Handles, "props" | "watch">} handles */
export const sheet = (element, handles) => {
  let by = -1;
  let upwards = true;
  /** What a cell is sorted by: its number, said or read. */
  /** @param {TableCell} cell */
  const worth = (cell) => (cell.value !== undefined ? cell.value : parseFloat(say(cell.text).replace(/^~ ?/, "")));
  /** @param {TableSheet["rows"]} rows */
  const ordered = (rows) => {
    if (by < 0) return rows;
    const known = rows.filter(({ cells }) => cells[by] && !Number.isNaN(worth(cells[by])));
    const rest = rows.filter((row) => !known.includes(row));
    known.sort((a, b) => (worth(a.cells[by]) - worth(b.cells[by])) * (upwards ? 1 : -1));
    return [...known, ...rest];
  };
  const show = valued(element, handles, (root, /** @type {TableSheet} */ { title, first = "block", columns, rows, notes, words }) => {
    /** @param {Text} text @param {number} at */
    const sorter = (text, at) => {
      const mark = at === by ? (upwards ? " ▲" : " ▼") : "";
      const button = make("button", { type: "button", class: "sorter", title: say("sort by this column"), text: say(text) + mark, onclick: () => {
        upwards = at === by ? !upwards : false;
        by = at;
        show();
      } });
      return make("th", { scope: "col", "aria-sort": at === by ? (upwards ? "ascending" : "descending") : "none" }, button);
    };
    const head = make("tr", {}, make("th", { scope: "col", text: say(first) }), ...columns.map(sorter));
    const body = ordered(rows).map(({ name, spec, colour, cells }) => make("tr", {},
      make("th", { scope: "row", title: spec || "" }, colour ? make("span", { class: "mark", style: `background:${colour}` }) : null, say(name)),
      ...cells.map(({ text, alike, title: said }) => make("td", { class: alike ? "alike" : "", title: alike ? say("not shown to differ from the control") : say(said || ""), text: alike ? `~ ${say(text)}` : say(text) }))));
    root.replaceChildren(make("h3", { text: say(title) }),
      make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": say(title) }, make("table", { class: words ? "words" : "" }, make("thead", {}, head), make("tbody", {}, ...body))),
      ...notes.map((text) => make("p", { class: "hint", text: say(text) })));
  });
};
