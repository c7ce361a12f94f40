// The story of the first view: what stands side by side here, three guided pushes, and what became of the answers.
/** @import { Asked } from "./modules" */
import { hear } from "./bus.js";
import * as chosen from "./chosen.js";
import { make, write } from "./dom.js";
import { splitLab } from "./model-names.js";
import * as questions from "./question.js";
import { msg, say, sayClass } from "./words.js";

const NUMBERS = [msg("No"), msg("One"), msg("Two"), msg("Three"), msg("Four"), msg("Five"), msg("Six")];
//: How far a push goes, as a share of the frame: the whole object stays in it.
const REACH = 0.2;
const PUSH_MS = 700;

/** Whether the models that are chosen differ in their block alone. */
const alike = () => {
  const parts = chosen.models().map(splitLab);
  const [first] = parts;
  return parts.length > 1 && first !== null && new Set(parts.map((one) => one?.block)).size === parts.length
    && parts.every((one) => one && one.setup === first.setup && one.seed === first.seed);
};

/** One line: what there is to see, and what to do. */
const line = () => {
  const { scene } = questions.get();
  if (!scene || !alike()) return `${say("Drag the object: every model answers anew.")} ${say("The maps show where each one looks and what its answer rests on.")}`;
  return `${say("{count} networks. Same size, same training. One block differs.", { count: say(NUMBERS[chosen.models().length]) })} ${say("Push the {label} into the corner.", { label: sayClass(scene.label) })}`;
};

/** An element that tells it. */
export const story = () => {
  const element = make("p", { class: "story" });
  const show = () => write(element, line());
  for (const news of /** @type {const} */ (["models", "source"])) hear(news, show);
  show();
  return element;
};

/** @typedef {Partial<Asked>} Put */
/** @type {{name: string, to: (question: Asked) => Put | null}[]} where each leads; null where it cannot */
const PUSHES = [
  { name: msg("Into the corner"), to: () => {
    const [height, width] = questions.frame();
    return { dx: Math.round(REACH * width), dy: -Math.round(REACH * height), zoom: 1 };
  } },
  { name: msg("Half the size"), to: () => ({ dx: 0, dy: 0, zoom: 0.5 }) },
  { name: msg("Another texture"), to: ({ scene }) => {
    if (!scene) return null;
    const textures = /** @type {(typeof scene.texture)[]} */ (questions.choicesOf("texture"));
    return { scene: { ...scene, texture: textures[(textures.indexOf(scene.texture) + 1) % textures.length] } };
  } },
];
/** @param {Asked} question @param {Put} to */
const isThere = ({ dx, dy, zoom }, to) => dx === to.dx && dy === to.dy && zoom === to.zoom;

let frame = 0;
/** Let what is shown glide there, so that the eye can follow; at once for those who asked for less motion. */
/** @param {Put} to */
const glide = (to) => {
  cancelAnimationFrame(frame);
  if (to.scene) { questions.shows(to); return; }
  const { dx, dy, zoom } = questions.get();
  const begun = performance.now();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const step = () => {
    const done = still ? 1 : Math.min(1, (performance.now() - begun) / PUSH_MS);
    const eased = done * done * (3 - 2 * done);
    const between = (/** @type {number} */ from, /** @type {number} */ end, /** @type {number} */ digits) => Number((from + (end - from) * eased).toFixed(digits));
    questions.shows({ dx: between(dx, to.dx ?? dx, 0), dy: between(dy, to.dy ?? dy, 0), zoom: between(zoom, to.zoom ?? zoom, 2) });
    if (done < 1) frame = requestAnimationFrame(step);
  };
  step();
};

/** Three buttons that push what is shown; a move that is pressed again is taken back. */
export const pushes = () => {
  const made = PUSHES.map(({ name, to }) => ({ to, button: make("button", { type: "button", text: say(name), onclick: () => {
    const where = to(questions.get());
    if (where) glide(isThere(questions.get(), where) ? { dx: 0, dy: 0, zoom: 1 } : where);
  } }) }));
  const show = () => {
    for (const { to, button } of made) {
      const where = to(questions.get());
      button.hidden = where === null;
      if (where && !where.scene) button.setAttribute("aria-pressed", String(isThere(questions.get(), where)));
    }
  };
  for (const news of /** @type {const} */ (["asked", "source", "frame"])) hear(news, show);
  hear("restoring", () => cancelAnimationFrame(frame));
  show();
  return make("div", { class: "pushes", role: "group", "aria-label": say("Try") }, ...made.map(({ button }) => button));
};
