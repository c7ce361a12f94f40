// Invariance under the hand: how sure each model is of the right class wherever the object is moved, and where it is now.
/** @import { Handles, Call } from "./modules" */
/** @import { PlacesOptions, PlacesRow } from "./wire" */
import { hear } from "./bus.js";
import * as chosen from "./chosen.js";
import { coloured } from "./colours.js";
import { make, need, penOf, write } from "./dom.js";
import { asking } from "./live.js";
import { nameOf } from "./models.js";
import { ARROWS, placeOf } from "./pointing.js";
import * as questions from "./question.js";
import { now } from "./shown.js";
import { say } from "./words.js";

//: Nothing is asked for before nothing has moved for so long.
const STILL_MS = 700;
const CELL = 6; // px of a displacement

/** What the grid depends on: all that is asked but where the object is. */
const key = () => {
  const { dx, dy, pins, pin, method, parameters, ...rest } = questions.copy();
  return JSON.stringify([chosen.models(), rest]);
};
const percent = (/** @type {boolean[]} */ right) => Math.round((100 * right.filter(Boolean).length) / Math.max(1, right.length));

/** How often a model is right, over all places and at the edges.
 * @param {Map<number, PlacesRow>} rows @param {number} model @param {number} side */
const inWords = (rows, model, side) => {
  const all = [...rows].flatMap(([number, { models }]) => models[model]?.right.map((right, column) => ({ right, number, column })) ?? []);
  const share = (/** @type {(one: {number: number, column: number}) => boolean} */ within) => percent(all.filter(within).map((one) => one.right));
  if (rows.size < side) return say("{done} of {count} rows", { done: rows.size, count: side });
  if (!all.length) return say("This model does not know the class.");
  return say("right in {all} % of places; at the left edge {left} %, right {right} %, top {top} %, bottom {bottom} %", {
    all: share(() => true), left: share(({ column }) => !column), right: share(({ column }) => column === side - 1),
    top: share(({ number }) => !number), bottom: share(({ number }) => number === side - 1),
  });
};
/** Paint what is known of a model, and a dot where the object is.
 * @param {HTMLCanvasElement} canvas @param {Map<number, PlacesRow>} rows @param {number} model @param {number} side
 * @param {{column: number, row: number}} here */
const paint = (canvas, rows, model, side, { column, row }) => {
  const values = new Float32Array(side * side);
  const valid = new Uint8Array(side * side);
  for (const [number, { models }] of rows) models[model]?.p.forEach((p, at) => { values[number * side + at] = p; valid[number * side + at] = 1; });
  const pen = penOf(canvas);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(coloured(values, side, side, { map: "sequential", low: 0, high: 1 }, valid), 0, 0, canvas.width, canvas.height);
  for (const [radius, ink] of /** @type {[number, string][]} */ ([[5, "#000000"], [3.5, "#ffffff"]])) {
    pen.fillStyle = ink;
    pen.beginPath();
    pen.arc((column + 0.5) * CELL, (row + 0.5) * CELL, radius, 0, 2 * Math.PI);
    pen.fill();
  }
};

/** Draw the fold with a map a model. */
/** @param {HTMLElement} element @param {Handles<null, PlacesOptions, {row: Call}>} handles */
export const places = (element, { options: { side }, server }) => {
  const maps = make("div", { class: "grids" });
  const said = make("p", { class: "hint" });
  const fold = make("details", { class: "places" }, make("summary", { text: say("Answers wherever it is moved") }), said, maps);
  /** @type {Map<number, PlacesRow>} by the number of the row */
  const rows = new Map();
  let of = "";
  /** @type {HTMLCanvasElement[]} */
  let canvases = [];
  //: From the middle outwards: there the object is most of the time.
  const order = Array.from({ length: side }, (_, at) => at).sort((a, b) => Math.abs(a - (side - 1) / 2) - Math.abs(b - (side - 1) / 2));

  /** The displacements along both sides, in px. */
  const reach = () => { const [height, width] = questions.frame(); return { x: Math.round(width / 2), y: Math.round(height / 2) }; };
  /** @param {number} column @param {number} row counted from 0 */
  const go = (column, row) => {
    const { x, y } = reach();
    const at = (/** @type {number} */ number, /** @type {number} */ far) => far * ((2 * Math.min(Math.max(number, 0), side - 1)) / (side - 1) - 1);
    questions.shows({ dx: at(column, x), dy: at(row, y) });
  };
  /** Where the object is, in cells. */
  const here = () => {
    const { dx, dy } = questions.get();
    const { x, y } = reach();
    return { column: ((dx / x + 1) / 2) * (side - 1), row: ((dy / y + 1) / 2) * (side - 1) };
  };

  const draw = () => {
    if (!fold.open || !questions.get().scene) return;
    canvases.forEach((canvas, model) => {
      paint(canvas, rows, model, side, here());
      const text = inWords(rows, model, side);
      canvas.setAttribute("aria-label", `${nameOf(chosen.models()[model])}: ${text}. ${say("Click or use the arrow keys to go there.")}`);
      const told = canvas.nextElementSibling;
      if (told) write(told, text);
    });
  };
  const lay = () => {
    canvases = chosen.models().map(() => {
      const canvas = make("canvas", { role: "img", tabindex: 0, width: side * CELL, height: side * CELL });
      canvas.addEventListener("click", (event) => {
        const { x, y } = placeOf(canvas, event);
        go(Math.floor(x * side), Math.floor(y * side));
      });
      canvas.addEventListener("keydown", (event) => {
        const step = ARROWS[event.key];
        if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        const { column, row } = here();
        go(Math.round(column) + step[0], Math.round(row) + step[1]);
      });
      return canvas;
    });
    maps.replaceChildren(...canvases.map((canvas, model) => make("figure", {}, make("figcaption", { text: nameOf(chosen.models()[model]) }), canvas, make("p"))));
  };
  const anew = () => {
    if (of !== key()) {
      of = key();
      rows.clear();
      lay();
    }
    const { scene } = questions.get();
    write(said, scene ? say("p of the right class, from 0 to 1, at {side} × {side} places of the object.", { side }) : say("Of a photograph it is not known which class is right."));
    maps.hidden = !scene;
    draw();
  };

  /** @type {PlacesRow | null} */
  let came = null;
  const ask = asking(server.row, { deliver: (/** @type {string} */ text) => { came = JSON.parse(text); } });
  let busy = false;
  let movedAt = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const next = async () => {
    const wait = movedAt + STILL_MS - performance.now();
    if (wait > 0) { soon(wait); return; }
    const number = order.find((one) => !rows.has(one));
    // Answers go first: nothing is asked for while one is awaited.
    if (busy || number === undefined || !fold.open || !questions.get().scene || !now.answer || !questions.isAnsweredBy(now.answer)) return;
    const [from, body] = [key(), { models: [...chosen.models()], question: questions.copy(), number }];
    busy = true;
    came = null;
    await ask(() => body);
    busy = false;
    const found = /** @type {PlacesRow | null} */ (came);
    if (!found) return; // what is wrong is said beside the answers
    if (from === key()) {
      rows.set(number, found);
      draw();
    }
    soon(from === key() ? 0 : STILL_MS);
  };
  const soon = (/** @type {number} */ wait) => { clearTimeout(timer); timer = setTimeout(next, wait); };

  const moved = () => {
    movedAt = performance.now();
    if (fold.open) anew();
  };
  for (const news of /** @type {const} */ (["asked", "models", "frame"])) hear(news, moved);
  hear("answered", () => { if (fold.open) soon(STILL_MS); });
  fold.addEventListener("toggle", () => {
    anew();
    // The bench scrolls by itself: what is opened at its end would stay out of sight.
    if (fold.open) fold.scrollIntoView({ block: "nearest" });
    soon(STILL_MS);
  });
  need(element, ".part").replaceChildren(fold);
};
