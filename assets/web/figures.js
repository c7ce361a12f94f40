// Figures of plotly: said to those who do not see them, and gone to with the keyboard where a click goes somewhere.
/** @import { Figure, PlotlyFigure } from "./modules" */
/** @import { FigureMeta, LinkedFigure, ToldFigure, ToldPoint } from "./wire" */
import { tell } from "./bus.js";
import { followFigure, goToLayer } from "./follow.js";
import { make } from "./dom.js";
import { digits } from "./numbers.js";
import { say } from "./words.js";


/** @param {ToldPoint} told */
const point = ([x, y, low, high]) => {
  const values = { x: typeof x === "number" ? digits(x) : say(x), value: digits(y), low: digits(low ?? NaN), high: digits(high ?? NaN) };
  return typeof low === "number" && typeof high === "number"
    ? say("{value} ({low} to {high}) at {x}", values) : say("{value} at {x}", values);
};

/** A figure's numbers in sentences; `told` comes from explorer/ui/measuring.py and explorer/ui/tabs/lab.py. */
/** @param {ToldFigure} told */
const sentences = ({ title, unit = "", ends = [], axes = [], lines = [] }) => {
  const said = [say("Figure: {title}.", { title: say(title) })];
  if (ends.length) said.push(say("Values from {low} to {high}, {unit}.", { low: digits(ends[0]), high: digits(ends[1]), unit: say(unit) }));
  if (axes.length) said.push(say("Across: {x}; upwards: {y}.", { x: say(axes[0]), y: say(axes[1]) }));
  for (const { name, points } of lines) if (points.length) said.push(`${say(name)}: ${points.map(point).join(", ")}.`);
  return said.join(" ");
};

/** Whether a click in a figure goes somewhere. */
/** @param {FigureMeta} meta @returns {meta is LinkedFigure} */
const isLinked = (meta) => Boolean(meta.link);

const known = new WeakSet();
const FIGURES = ".bias-plot .js-plotly-plot, .panel-of-lab .js-plotly-plot";
// gradio makes a figure anew at every change: whichever is there is said and listens.
const look = () => {
  for (const figure of /** @type {NodeListOf<PlotlyFigure>} */ (document.querySelectorAll(FIGURES))) {
    if (known.has(figure) || typeof figure.on !== "function" || !figure.layout) continue;
    known.add(figure);
    const meta = figure.layout.meta || {};
    figure.setAttribute("role", "figure");
    if (meta.told) figure.setAttribute("aria-label", sentences(meta.told));
    if (!isLinked(meta)) continue;
    figure.dataset.linked = "yes";
    figure.on("plotly_click", ({ points }) => { if (points.length) followFigure(meta, points[0]); });
    const row = figure.closest("[id^='plots-']");
    const data = (figure.data || []).flatMap(({ x }) => Array.from(x || [])).flatMap((x) => (typeof x === "number" ? [x] : []));
    if (row) tell(`figure-${row.id.slice("plots-".length)}`, { meta, places: [...new Set(data)].sort((a, b) => a - b) });
  }
};
/** Gradio's formulas scroll sideways where they have no room: with the keyboard too. */
const reachable = () => {
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('#blocks-text .katex-display:not([tabindex="0"])'))) {
    one.tabIndex = 0;
    one.setAttribute("role", "group");
    one.setAttribute("aria-label", say("Formula"));
  }
};
/** Look after every figure and formula that gradio draws. */
export const begin = () => {
  const see = () => { look(); reachable(); };
  see();
  new MutationObserver(see).observe(document.documentElement, { childList: true, subtree: true });
};

/** What a click in a figure does, for the keyboard: controls that go to a shift, a size or a layer under Compare. */
/** @param {string} id @param {Figure} figure */
export const there = (id, { meta, places }) => {
  const option = (/** @type {number} */ value, /** @type {string} */ text) => make("option", { value, text });
  const go = (/** @type {() => void} */ act) => make("button", { type: "button", text: say("Show under Compare"), onclick: act });
  if (meta.link === "layer") {
    const layers = meta.layers.flatMap((paths, model) => paths.map((path) => ({ model, path })));
    const select = make("select", { id }, ...layers.map(({ model, path }, at) => option(at, `${meta.models[model]}: ${path}`)));
    return [make("label", { for: id, text: say("go to layer") }), select, go(() => goToLayer(meta, layers[Number(select.value)]))];
  }
  if (meta.link === "zoom") {
    const select = make("select", { id }, ...places.map((place) => option(place, `${Number(place.toFixed(2))} ×`)));
    return [make("label", { for: id, text: say("go to size") }), select, go(() => followFigure(meta, { x: Number(select.value) }))];
  }
  const far = Math.max(1, ...places.map(Math.abs));
  const input = (/** @type {string} */ name, /** @type {string} */ label) => make("input", { type: "number", id: `${id}-${name}`, value: 0, min: -far, max: far, step: 1, "aria-label": label });
  const [across, down] = [input("dx", say("shift to the right, px")), input("dy", say("shift down, px"))];
  const within = (/** @type {HTMLInputElement} */ { value }) => Math.min(Math.max(Number(value) || 0, -far), far);
  return [make("span", { class: "soft", text: say("go to shift, px") }), across, down,
    // In pixels of the first model, whichever model the figure is of.
    go(() => followFigure({ ...meta, own: 0 }, { x: within(across), y: within(down), z: 0 }))];
};
