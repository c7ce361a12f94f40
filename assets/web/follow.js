// Clicks in figures move what is under Compare, and say so.
/** @import { PlotlyPoint } from "./modules" */
/** @import { LinkedFigure } from "./wire" */
import { tell } from "./bus.js";
import * as chosen from "./chosen.js";
import { make } from "./dom.js";
import * as questions from "./question.js";
import { now } from "./shown.js";
import { say } from "./words.js";
import * as ways from "./ways.js";

const notice = make("div", { class: "linked", role: "status" });
const tellOf = (/** @type {string} */ text) => {
  if (!notice.isConnected) document.body.append(notice);
  const go = make("button", { type: "button", class: "main", text: say("Show"), onclick: () => {
    notice.hidden = true;
    ways.open("compare");
  } });
  const close = make("button", { type: "button", class: "quiet", text: say("Close"), onclick: () => { notice.hidden = true; } });
  notice.replaceChildren(make("span", { text }), go, close);
  notice.hidden = false;
};
const number = (/** @type {number} */ value) => Number(value.toFixed(2));

/** Go where a point of a figure leads; `meta` is what the figure says of itself. */
/** @param {LinkedFigure} meta @param {Partial<PlotlyPoint> & {x: number}} point */
export const followFigure = (meta, point) => {
  if (meta.link === "shift") {
    // A map is of one model and in its pixels; the question's pixels are the first model's.
    const own = meta.own;
    const size = meta.sizes[Math.max(own, 0)];
    const frame = questions.frame();
    if (!size?.length) return;
    const share = { x: frame[1] / size[1], y: frame[0] / size[0] };
    const change = { dx: number(point.x * share.x), dy: point.z === undefined || point.y === undefined ? 0 : number(point.y * share.y) };
    questions.set(change);
    tellOf(say("The picture under Compare is moved by {dx} px to the right and {dy} px down.", { dx: change.dx, dy: change.dy }));
  } else if (meta.link === "zoom") {
    questions.set({ zoom: number(point.x) });
    tellOf(say("The picture under Compare is rescaled to {zoom} times its size.", { zoom: number(point.x) }));
  } else if (meta.link === "layer") {
    // A place on the axis is a layer's number over their count.
    const model = meta.models.findIndex((one) => [one, say("{model}, heads", { model: one })].includes(point.data?.name ?? ""));
    const layers = meta.layers[model] || [];
    const path = layers[Math.min(layers.length, Math.max(1, Math.round(point.x * layers.length))) - 1];
    if (path !== undefined) goToLayer(meta, { model, path });
  }
};
/** Choose a layer under Compare. */
/** @param {LinkedFigure} meta @param {{model: number, path: string}} layer */
export const goToLayer = (meta, { model, path }) => {
  // What was measured may be of models that are no longer shown, or stand elsewhere now.
  const { answer } = now;
  const shown = answer ? answer.rows.findIndex((row) => [row.spec, row.asked].includes(meta.models[model])) : -1;
  if (!answer || shown < 0 || answer.rows[shown].asked !== chosen.models()[shown]) {
    tellOf(say("{model} is not under Compare now. Add it there to see its layer {path}.", { path, model: meta.models[model] }));
    return;
  }
  tell("layer", { model: shown, path });
  tellOf(say("Layer {path} of {model} is chosen under Compare.", { path, model: meta.models[model] }));
};
