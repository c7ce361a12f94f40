// The question: how what is shown is moved, where attention is asked from, which attribution. Its value is one object.
/** @import { Asked } from "./modules" */
/** @import { Place, Question, Scene } from "./view" */
/** @import { AskedOf, ControlsOptions, Method, MoveParameter, SceneParameter, Size } from "./wire" */
import { tell } from "./bus.js";
import * as chosen from "./chosen.js";
import { now } from "./shown.js";
import * as state from "./state.js";
import { say } from "./words.js";

export const MOST_PINS = 4;

/** @type {MoveParameter[]} */
let moves = [];
/** @type {Method[]} */
let methods = [];
/** @type {SceneParameter[]} */
let sceneFields = [];
/** @type {Partial<Scene>} */
let blank = {};
/** @type {string[]} */
let pictures = [];
/** @type {Size} */
let frameSize = [224, 224];
// `begin` fills it before anybody asks for it.
const question = /** @type {Asked} */ ({});
/** @type {(question: Partial<Asked>) => void} */
let publish = () => {};

/** A scene as a text that names it. */
/** @param {Scene} scene */
export const named = (scene) => JSON.stringify(scene, Object.keys(scene).sort());
/** @param {object} fields */
const sorted = (fields) => JSON.stringify(fields, Object.keys(fields).sort());
/** Whether two scenes are the same, or both none. */
/** @param {Scene | null} one @param {Scene | null} two */
export const sameScene = (one, two) => (one && two ? named(one) === named(two) : !one && !two);

/** The question as it is now; it is changed by `set` alone. */
export const get = () => question;
/** (height, width) of the first model's input, whose pixels the move is in. */
export const frame = () => frameSize;
/** What a field of a scene may be. */
/** @param {string} field */
export const choicesOf = (field) => sceneFields.find(({ name }) => name === field)?.choices ?? [];
/** Take the frame that an answer came with. */
/** @param {Size} size */
export const setFrame = (size) => {
  if (size[0] === frameSize[0] && size[1] === frameSize[1]) return;
  frameSize = size;
  tell("frame", size);
};

/** The question as it is sent and kept. */
/** @returns {Partial<Asked>} */
export const copy = () => {
  /** @type {Partial<Asked>} */
  const asked = JSON.parse(JSON.stringify(question));
  // What is rendered anew is neither mirrored nor filled in.
  if (question.scene) for (const move of moves) if (move.picture) delete asked[move.name];
  return asked;
};

/** Whether what was asked, as a reply carries it, is the question as it is now, wherever it is asked from; or is but for the move. */
/** @param {Pick<AskedOf, "at" | "models" | "method" | "parameters">} asked @param {boolean} moved */
export const isAnsweredBy = ({ at, models, method, parameters }, moved = true) => moves.every((move) => !moved || (question.scene && move.picture) || at[move.name] === question[move.name])
  && sameScene(at.scene, question.scene) && (Boolean(question.scene) || at.picture === question.picture)
  && method === question.method && sorted(parameters) === sorted(question.parameters)
  && models[0] === chosen.models()[0]; // in whose pixels the move is

let due = false;
/** Change the question: {dx, dy, pins, scene, ...}; `ask` false where no answer is needed. */
/** @param {Partial<Asked>} change @param {boolean} ask */
export const set = (change, ask = true) => {
  const before = JSON.stringify(question);
  Object.assign(question, change);
  const other = JSON.stringify(question) !== before;
  if (now.pin >= question.pins.length) now.pin = 0;
  tell("question", question);
  publish(copy());
  if (!ask) return;
  tell("asked", question);
  if (other) state.did();
  if (due) return;
  due = true;
  // What changes together, as the models and the scene of a lesson's step, is one request.
  queueMicrotask(() => { due = false; tell("due"); });
};
const defaults = () => Object.fromEntries(moves.map((move) => [move.name, move.default]));
/** Put everything back to where it was. */
export const reset = () => set(defaults());
/** Let the pin whose maps are shown ask from another place. */
/** @param {Place} place */
export const ask = (place) => {
  set({ pins: question.pins.map((pin, number) => (number === now.pin ? place : pin)) }, false);
  state.did();
};

/** @param {any} one whatever a link says */
const isPlace = (one) => one && [one.x, one.y].every((part) => typeof part === "number" && part >= 0 && part < 1);

/** Whether a value is a number that a parameter may have. */
/** @param {unknown} value @param {{low: number | null, high: number | null}} range */
const fits = (value, { low, high }) => typeof value === "number" && (low === null || value >= low) && (high === null || value <= high);

/** @param {object} scene */
const problemOfScene = (scene) => {
  for (const [field, part] of Object.entries(scene)) {
    const one = sceneFields.find((known) => known.name === field);
    if (!one && !["dx", "dy", "scale", "angle"].includes(field)) return say("A scene has no field “{field}”.", { field });
    if (one?.choices.length && !one.choices.includes(part)) return say("A scene has no {field} “{part}”.", { field, part });
    if (!one?.choices.length && !fits(part, one || { low: null, high: null })) return say("A scene has no {field} “{part}”.", { field, part });
  }
  return "";
};

/** The first thing wrong with a part of a question that came from elsewhere, or "". */
/** @param {string} name @param {unknown} value */
const problemOf = (name, value) => {
  const move = moves.find((one) => one.name === name);
  /** @param {string} expected */
  const said = (expected) => say("{name} is {expected}, not “{value}”.", { name, expected, value: typeof value === "string" ? value : JSON.stringify(value) });
  if (move && move.low !== null && !fits(value, move)) {
    return said(say("a number from {low} to {high}", { low: move.low, high: move.high }));
  }
  if (move?.choices?.length && !(typeof value === "string" && move.choices.includes(value))) return said(move.choices.join(", "));
  if (name === "method" && !methods.some((one) => one.name === value)) return said(say("the name of an attribution method"));
  if (name === "pin" && value !== "image" && value !== "place") return said("image, place");
  if (name === "pins" && !(Array.isArray(value) && value.length >= 1 && value.length <= MOST_PINS && value.every(isPlace))) {
    return said(say("1 to {most} places in the frame", { most: MOST_PINS }));
  }
  if (name === "picture" && !(typeof value === "string" && (pictures.includes(value) || /^own:[0-9a-f]{24}$/.test(value)))) return said(pictures.join(", "));
  if (name === "scene" && value) return problemOfScene(/** @type {object} */ (value));
  if (!move && !["method", "pin", "pins", "picture", "scene", "parameters"].includes(name)) return say("Nothing that is asked is called “{name}”.", { name });
  return "";
};

/** Begin with what the page opens with; `out` hands the question on to gradio. */
/** @param {{first: Question, options: ControlsOptions, samples: string[], out: (question: Partial<Asked>) => void}} start */
export const begin = ({ first, options, samples, out }) => {
  ({ moves, methods, scene: sceneFields, blank } = options);
  pictures = samples;
  publish = out;
  Object.assign(question, defaults(), {
    method: options.method, pins: [{ x: 0.5, y: 0.5 }], pin: "image", parameters: {}, scene: first.scene || null, picture: first.picture,
  });
  publish(copy());
  state.keep("question", copy, (change) => {
    if (!change || typeof change !== "object") return say("“{name}” cannot be read.", { name: "question" });
    // What is wrong is left out, the rest is asked.
    /** @type {Record<string, unknown>} */
    const good = {};
    const problems = [];
    for (const [name, value] of Object.entries(change)) {
      const wrong = problemOf(name, value);
      if (wrong) problems.push(wrong);
      else good[name] = name === "scene" && value ? { ...blank, ...value } : value;
    }
    if (Object.keys(good).length) set(good);
    return problems.join(" ");
  });
};

/** @type {(change: Partial<Asked>) => void} */
let showing = set;
/** Show something else: it is asked about at once, but where a lesson has the workbench, after it. */
/** @param {Partial<Asked>} change */
export const shows = (change) => showing(change);
/** Let something else decide what becomes of what is to be shown; it gets the change and the usual way. */
/** @param {(change: Partial<Asked>, usual: (change: Partial<Asked>) => void) => void} decide */
export const showBy = (decide) => { showing = (change) => decide(change, set); };
