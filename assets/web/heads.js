// The heads of the layer that is shown, small, in a row: a click or a key makes one the large map.
/** @import { Row } from "./modules" */
/** @import { Size } from "./wire" */
import { range } from "./colours.js";
import { childrenOf, make } from "./dom.js";
import { fit, hatch } from "./panel.js";
import { drawSmall } from "./small.js";
import { viewed } from "./views.js";
import { say } from "./words.js";

//: Of more heads (a gate has one a channel) small maps would fill the page; the slider chooses among them.
const MOST = 16;
const REST_MS = 120;
/** @type {WeakMap<Row, ReturnType<typeof setTimeout>>} */
const waiting = new WeakMap();

/** @param {Row} row @param {number} head -1 for the mean */
const button = (row, head) => {
  const number = row.index + 1;
  const label = head < 0 ? say("Mean of the heads of model {number}", { number }) : say("Head {head} of model {number}", { head: head + 1, number });
  return make("button", { type: "button", class: "other", "aria-label": label, title: label, onclick: () => row.chooseHead(head) },
    make("canvas"), make("span", { text: head < 0 ? say("mean") : head + 1 }));
};

/**
 * Draw the mean and each head, each on a scale of its own, as what they differ in is where they look.
 * `shownOf` gives what the present view shows of a head; undefined where its numbers are not here, or not any more.
 */
/** @param {Row} row @param {number} count @param {Size} size @param {number[]} grid @param {(head: number) => ReturnType<typeof viewed> | undefined} shownOf */
export const showHeads = (row, count, size, [rows, columns], shownOf) => {
  clearTimeout(waiting.get(row));
  row.heads.hidden = count < 2 || count > MOST;
  if (row.heads.hidden) return;
  if (row.heads.children.length !== count + 1) row.heads.replaceChildren(...Array.from({ length: count + 1 }, (_, at) => button(row, at - 1)));
  const buttons = childrenOf(row.heads, HTMLButtonElement);
  buttons.forEach((one, at) => { one.setAttribute("aria-pressed", String(at - 1 === row.head)); });
  // The large map is seen first: a hand waits for it and not for these, which are drawn once answers stop coming.
  waiting.set(row, setTimeout(() => buttons.forEach((one, at) => {
    const shown = shownOf(at - 1);
    if (shown === undefined) return;
    const [canvas] = childrenOf(one, HTMLCanvasElement);
    const context = fit(canvas, size);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (shown) drawSmall(context, { values: shown.values, rows, columns, range: range(shown.compared), valid: shown.valid });
    else { context.fillStyle = hatch(context); context.fillRect(0, 0, canvas.width, canvas.height); }
  }), REST_MS));
};
