// The controls of the question: every field shows it as it is now, and changes it.
/** @import { Asked, Trigger } from "./modules" */
/** @import { ControlsOptions } from "./wire" */
import { hear, tell } from "./bus.js";
import { make, need, write } from "./dom.js";
import { methodFields } from "./method-fields.js";
import { moveField } from "./move-fields.js";
import { pinFields } from "./pin-fields.js";
import * as questions from "./question.js";
import { sceneFields } from "./scene-fields.js";
import { msg, say } from "./words.js";

/** @param {string} title @param {...Node} content */
const fold = (title, ...content) => make("details", {}, make("summary", { text: say(title) }), ...content);

/** How far what is shown is moved, in words. */
/** @param {Asked} question */
const movedBy = ({ dx, dy, zoom, angle, flip, scene }) => {
  const rounded = (/** @type {number} */ value) => Number(value.toFixed(1));
  return [
    dx || dy ? say("→ {dx} px, ↓ {dy} px", { dx: rounded(dx), dy: rounded(dy) }) : "",
    zoom !== 1 ? `× ${zoom}` : "",
    angle ? `${angle}°` : "",
    flip && !scene ? say("mirrored") : "",
  ].filter(Boolean).join(" · ");
};

/** Draw the controls. */
/** @param {HTMLElement} element @param {{options: ControlsOptions, trigger: Trigger}} handles */
export const controls = (element, { options, trigger }) => {
  const question = questions.get();
  const moves = options.moves.map(moveField);
  const scene = sceneFields(options.scene, () => question.scene, (change) => { if (question.scene) questions.set({ scene: { ...question.scene, ...change } }); });
  const pins = pinFields(fold);
  const method = methodFields(options.methods, trigger);
  const where = make("p", { class: "moved-by" });
  const reset = make("button", { type: "button", class: "quiet", text: say("Put it back"), onclick: questions.reset });
  const made = fold(msg("Make another scene"), ...scene.elements);
  let shownSource = "";

  const show = () => {
    for (const one of [...moves, pins, method]) one.show();
    made.hidden = !question.scene;
    scene.show();
    const words = movedBy(question);
    write(where, words || say("not moved"));
    reset.disabled = !words;
    const source = question.scene ? JSON.stringify(question.scene) : question.picture;
    if (source !== shownSource) {
      shownSource = source;
      tell("source", question);
    }
  };
  hear("frame", show);
  hear("question", show);
  need(element, ".part").replaceChildren(
    make("div", { class: "put" }, where, reset), fold(msg("Move by numbers"), ...moves.map((one) => one.element)), made, pins.element, method.element);
  show();
};
