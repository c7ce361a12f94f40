// A block at work: one scene whose object can be dragged, a place to ask from, and what the block makes of it beside it.
/** @import { Call } from "./modules" */
/** @import { Place } from "./view" */
/** @import { ExampleAnswer, ExamplePanel, ExampleScene, Size } from "./wire" */
import { shownBlock } from "./blocks.js";
import { hear } from "./bus.js";
import { coloured, gradient } from "./colours.js";
import { make, need, write } from "./dom.js";
import { between, clampShare, lines } from "./geometry.js";
import { asking } from "./live.js";
import { player, work } from "./moving.js";
import { digits } from "./numbers.js";
import { cross, fit } from "./panel.js";
import { ARROWS, LETTERS, placeOf } from "./pointing.js";
import { say, sayClass } from "./words.js";

const DRAG_PX = 4;
const STEP = 1 / 48;
const HOME = { dx: 0, dy: 0, pin: { x: 0.5, y: 0.5 } };
/** @type {Size} */
const SQUARE = [1, 1];

/** @typedef {{dx: number, dy: number, pin: Place}} Tried how far the object is moved, and where is asked from */

/** Cells that a map along lines speaks of, seen from a place; null for all of them. */
/** @param {ExamplePanel} panel @param {Place} place */
const reach = ({ line, rows, columns }, place) => (line ? lines(line, [rows, columns], place) : null);

/** @param {CanvasRenderingContext2D} context @param {ExamplePanel} panel @param {number} grown how high they are by now, 0 to 1 */
const bars = (context, { values, high }, grown) => {
  const { width, height } = context.canvas;
  const style = getComputedStyle(context.canvas);
  context.fillStyle = style.getPropertyValue("--field");
  context.fillRect(0, 0, width, height);
  context.fillStyle = style.getPropertyValue("--ring");
  const wide = width / values.length;
  values.forEach((value, at) => {
    const tall = grown * between(value / high, 0, 1) * height;
    context.fillRect(at * wide, height - tall, Math.max(1, wide - 1), tall);
  });
};

/** Let a canvas move the object and the pin: get() gives {dx, dy, pin}, set(change) changes them. */
/** @param {HTMLCanvasElement} canvas @param {() => Tried} get @param {(change: Partial<Tried>) => void} set */
const steer = (canvas, get, set) => {
  /** @type {{x: number, y: number, dx: number, dy: number, moved: boolean} | null} */
  let start = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    start = { x: event.clientX, y: event.clientY, dx: get().dx, dy: get().dy, moved: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!start) return;
    const [across, down] = [event.clientX - start.x, event.clientY - start.y];
    if (!start.moved && Math.hypot(across, down) < DRAG_PX) return;
    start.moved = true;
    set({ dx: start.dx + across / canvas.clientWidth, dy: start.dy + down / canvas.clientWidth });
  });
  canvas.addEventListener("pointerup", (event) => {
    if (start && !start.moved) set({ pin: placeOf(canvas, event) });
    start = null;
  });
  canvas.addEventListener("pointercancel", () => { start = null; });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { dx, dy, pin: at } = get();
    const step = ARROWS[event.key];
    const pin = LETTERS[event.key];
    const pace = event.shiftKey ? 8 * STEP : STEP;
    if (step) set({ dx: dx + step[0] * pace, dy: dy + step[1] * pace });
    else if (pin) set({ pin: { x: clampShare(at.x + 2 * pin[0] * STEP), y: clampShare(at.y + 2 * pin[1] * STEP) } });
    else if (event.key === "0") set(HOME);
    else return;
    event.preventDefault();
  });
};

/** What is said of the value in a place of a panel; `pin` where its query asks from. */
/** @param {ExamplePanel} panel @param {Place} place @param {Place} pin */
const reads = (panel, { x, y }, pin) => {
  const [row, column] = [Math.floor(y * panel.rows), Math.floor(x * panel.columns)];
  const at = row * panel.columns + column;
  const valid = panel.asked ? reach(panel, pin) : null;
  if (valid && !valid[at]) return say("not on this line");
  const value = digits(panel.values[at]);
  if (panel.picture) return say("row {row}, column {column}: {value}", { row: row + 1, column: column + 1, value });
  if (panel.rows === 1) return say("channel {channel}: {value}", { channel: column + 1, value });
  return say("channel {row} from channel {column}: {value}", { row: row + 1, column: column + 1, value });
};

/** A panel with its map: {panel, view, figure}; `pinOf()` gives the place that was asked from, `ask(place)` asks from another. */
/** @param {ExamplePanel} panel @param {() => Place} pinOf @param {(place: Place) => void} ask */
const panelOf = (panel, pinOf, ask) => {
  const view = make("canvas", { role: "img" });
  const reading = make("p", { class: "reading" });
  const most = panel.values.reduce((best, value) => Math.max(best, value), -Infinity);
  const rest = say("largest {value}", { value: digits(most) });
  reading.textContent = rest;
  view.setAttribute("aria-label", `${say(panel.title)}: ${rest}. ${say("Unit: {unit}", { unit: say(panel.unit) })}`);
  view.addEventListener("pointermove", (event) => write(reading, reads(panel, placeOf(view, event), pinOf())));
  view.addEventListener("pointerleave", () => write(reading, rest));
  if (panel.asked) view.addEventListener("click", (event) => ask(placeOf(view, event)));
  const strip = make("span", { class: "strip", "aria-hidden": "true" });
  strip.style.background = gradient(panel.low < 0 ? "diverging" : "sequential");
  const plain = panel.rows === 1 && !panel.picture;
  const figure = make("figure", { class: "example-panel" }, make("figcaption", { text: say(panel.title).replace(" x ", " × ") }), view,
    make("div", { class: "scale" }, make("span", { text: digits(panel.low) }), plain ? make("span", { class: "strip bars", text: say("height of a bar") }) : strip, make("span", { text: digits(panel.high) })),
    make("p", { class: "hint", text: say(panel.unit) + (panel.of > 1 ? `; ${say("mean of {count}", { count: panel.of })}` : "") }), reading);
  return { panel, view, figure };
};

/** Draw the example, once its scene is here: it is sent to those alone who open the tab. */
/** @param {HTMLElement} element @param {{server: {example: Call, example_scene: Call}}} handles */
export const example = (element, { server }) => {
  asking(server.example_scene, { deliver: (/** @type {ExampleScene} */ scene) => draw(element, server, scene) })(() => ({}));
};

/** The scene with its object moved, once both pictures are here.
 * @param {CanvasRenderingContext2D} context @param {HTMLImageElement[]} images background and object
 * @param {ExampleScene} scene @param {Tried} asked */
const paintScene = (context, [background, object], scene, asked) => {
  const { width } = context.canvas;
  context.globalCompositeOperation = "source-over";
  context.globalAlpha = 1;
  context.imageSmoothingQuality = "high";
  if (!background.complete || !object.complete) return;
  context.drawImage(background, 0, 0, width, width);
  const across = scene.share * width;
  const [x, y] = [0.5 + scene.dx + asked.dx, 0.5 + scene.dy + asked.dy];
  context.drawImage(object, x * width - across / 2, y * width - across / 2, across, across);
};

/** @param {HTMLElement} element @param {{example: Call}} server @param {ExampleScene} scene */
const draw = (element, server, scene) => {
  const root = need(element, ".part");
  const images = [scene.background, scene.object].map((uri) => { const image = new Image(); image.src = uri; return image; });
  let asked = { ...HOME };
  let block = "";
  /** @type {ExampleAnswer | null} */
  let answer = null;

  const canvas = make("canvas", { role: "img", tabindex: 0, class: "scene" });
  const heading = make("h3", { text: say("Try it") });
  const badge = make("span", { class: "badge" });
  const model = make("span", { class: "spec" });
  const said = make("p", { class: "hint", role: "status" });
  const answered = make("p", { class: "answered" });
  const reset = make("button", { type: "button", class: "quiet", text: say("put it back"), onclick: () => set(HOME) });
  const panels = make("div", { class: "example-panels" });
  const caption = make("figcaption");
  const seen = make("figure", { class: "example-panel" }, caption, canvas, answered, reset);
  panels.append(seen);
  const playing = player(() => answer?.panels ?? [], () => paintAll());
  root.replaceChildren(make("div", { class: "example-head" }, heading, model, badge), panels, playing.element, said);

  /** @param {ReturnType<typeof panelOf>} drawn */
  const paint = ({ panel, view }) => {
    const context = fit(view, SQUARE);
    if (panel.rows === 1 && !panel.picture) { bars(context, panel, playing.at() ?? 1); return; }
    const range = { map: panel.low < 0 ? "diverging" : "sequential", low: panel.low, high: panel.high };
    const valid = panel.asked && answer ? reach(panel, answer.pin) : null;
    if (panel.picture) {
      paintScene(context, images, scene, asked);
      context.globalCompositeOperation = "saturation";
      context.fillStyle = "#808080";
      context.fillRect(0, 0, view.width, view.height);
      context.globalCompositeOperation = "source-over";
      context.globalAlpha = 0.75;
    } else context.clearRect(0, 0, view.width, view.height);
    context.imageSmoothingEnabled = false;
    context.drawImage(coloured(panel.values, panel.rows, panel.columns, range, valid), 0, 0, view.width, view.height);
    context.globalAlpha = 1;
    context.imageSmoothingEnabled = true;
    if (panel.asked) cross(context, asked.pin);
  };

  /** @type {ReturnType<typeof panelOf>[]} */
  let drawn = [];
  const paintAll = () => {
    root.classList.toggle("stale", !isCurrent(answer));
    if (!canvas.clientWidth) return;
    const context = fit(canvas, SQUARE);
    paintScene(context, images, scene, asked);
    const time = playing.at();
    if (answer && time !== null) work(context, answer.panels, answer.pin, time);
    const asks = answer?.panels.some((panel) => panel.asked);
    write(caption, asks ? say("Drag the object, click a place") : say("Drag the object"));
    if (asks) cross(context, asked.pin);
    canvas.setAttribute("aria-label", `${say("A scene with a {label}.", { label: sayClass(scene.label) })} ${say("Use the arrow keys to move the object, 0 to put it back; W, A, S and D move the pin.")}`);
    drawn.forEach(paint);
  };
  let frame = 0;
  const soon = () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(paintAll); };

  const ask = () => {
    if (block && element.offsetParent !== null) send(() => ({ question: { block, ...asked } }));
  };
  const set = (/** @type {Partial<Tried>} */ change) => {
    asked = { ...asked, ...change };
    asked.dx = between(asked.dx, -0.5, 0.5);
    asked.dy = between(asked.dy, -0.5, 0.5);
    soon();
    ask();
  };

  /** Whether an answer is to what is asked now. */
  /** @param {ExampleAnswer | null} one */
  const isCurrent = (one) => one !== null && one.block === block && one.dx === asked.dx && one.dy === asked.dy && one.pin.x === asked.pin.x && one.pin.y === asked.pin.y;
  /** @param {string} text */
  const receive = (text) => {
    /** @type {ExampleAnswer} */
    const next = JSON.parse(text);
    // A late one is not drawn over what was asked after it, and no block's maps stand under another's name.
    if (next.block !== block || (isCurrent(answer) && !isCurrent(next))) return;
    answer = next;
    write(model, next.spec || "");
    badge.hidden = !next.state;
    badge.className = `badge ${next.state || ""}`;
    write(badge, say(next.state || ""));
    badge.title = say(next.state_title || "");
    const { answers: found } = next;
    write(answered, found ? say("answers {label}, {share} %", { label: sayClass(found.label), share: (100 * found.p).toFixed(0) }) : "");
    write(said, say(next.note || ""));
    const shown = (/** @type {ExamplePanel} */ panel) => panelOf(panel, () => answer?.pin ?? next.pin, (pin) => set({ pin }));
    // What is under the pointer stays while values change.
    const named = (/** @type {ExamplePanel} */ { title, rows, columns }) => `${title} ${rows} ${columns}`;
    if (drawn.map(({ panel }) => named(panel)).join() !== next.panels.map(named).join()) {
      drawn = next.panels.map(shown);
      panels.replaceChildren(seen, ...drawn.map(({ figure }) => figure));
    } else {
      drawn.forEach((one, at) => {
        const made = shown(next.panels[at]);
        one.figure.replaceWith(made.figure);
        drawn[at] = made;
      });
    }
    if (root.dataset.block !== next.block) playing.reset();
    root.dataset.block = next.block;
    playing.show();
  };

  const send = asking(server.example, { deliver: receive, failed: (words) => write(said, words) });
  steer(canvas, () => asked, set);
  hear("block", (name) => { block = name; soon(); ask(); });
  for (const image of images) image.addEventListener("load", soon);
  // Nothing is asked before the tab is opened.
  new IntersectionObserver((entries) => {
    if (entries.some((one) => one.isIntersecting) && (!answer || answer.block !== block)) ask();
  }).observe(element);
  new ResizeObserver(soon).observe(root);
  if (shownBlock()) { block = shownBlock(); ask(); }
};
