// The question: how what is shown is moved, where attention is asked from, which attribution. Its value is one object.
import { tell } from "./bus.js";
import * as chosen from "./chosen.js";
import { now } from "./shown.js";
import * as state from "./state.js";
import { say } from "./words.js";

export const MOST_PINS = 4;

let moves = [];
let methods = [];
let sceneFields = [];
let blank = {};
let pictures = [];
let frameSize = [224, 224];
const question = {};
let publish = () => {};

/** A scene as a text that names it. */
export const named = (scene) => JSON.stringify(scene, Object.keys(scene).sort());
const sorted = (fields) => JSON.stringify(fields, Object.keys(fields).sort());
/** Whether two scenes are the same, or both none. */
export const sameScene = (one, two) => Boolean(one) === Boolean(two) && (!one || named(one) === named(two));

/** The question as it is now; it is changed by `set` alone. */
export const get = () => question;
/** (height, width) of the first model's input, whose pixels the move is in. */
export const frame = () => frameSize;
/** Take the frame that an answer came with. */
export const setFrame = (size) => {
  if (size[0] === frameSize[0] && size[1] === frameSize[1]) return;
  frameSize = size;
  tell("frame", size);
};

/** The question as it is sent and kept. */
export const copy = () => {
  const asked = JSON.parse(JSON.stringify(question));
  // What is rendered anew is neither mirrored nor filled in.
  if (question.scene) for (const move of moves) if (move.picture) delete asked[move.name];
  return asked;
};

/** Whether what was asked, as a reply carries it, is the question as it is now, wherever it is asked from; or is but for the move. */
export const isAnsweredBy = ({ at, models, method, parameters }, moved = true) => moves.every((move) => !moved || (question.scene && move.picture) || at[move.name] === question[move.name])
  && sameScene(at.scene, question.scene) && (Boolean(question.scene) || at.picture === question.picture)
  && method === question.method && sorted(parameters) === sorted(question.parameters)
  && models[0] === chosen.models()[0]; // in whose pixels the move is

let due = false;
/** Change the question: {dx, dy, pins, scene, ...}; `ask` false where no answer is needed. */
export const set = (change, ask = true) => {
  Object.assign(question, change);
  if (now.pin >= question.pins.length) now.pin = 0;
  tell("question", question);
  publish(copy());
  if (!ask) return;
  tell("asked", question);
  if (due) return;
  due = true;
  // What changes together, as the models and the scene of a lesson's step, is one request.
  queueMicrotask(() => { due = false; tell("due"); });
};
/** Put everything back to where it was. */
export const reset = () => set(Object.fromEntries(moves.map((move) => [move.name, move.default])));
/** Let the pin whose maps are shown ask from another place. */
export const ask = (place) => set({ pins: question.pins.map((pin, number) => (number === now.pin ? place : pin)) }, false);

const isPlace = (one) => one && [one.x, one.y].every((part) => typeof part === "number" && part >= 0 && part < 1);

const problemOfScene = (scene) => {
  for (const [field, part] of Object.entries(scene)) {
    const one = sceneFields.find((known) => known.name === field);
    if (!one && !["dx", "dy", "scale", "angle"].includes(field)) return say("A scene has no field “{field}”.", { field });
    if (one?.choices.length && !one.choices.includes(part)) return say("A scene has no {field} “{part}”.", { field, part });
    if ((!one?.choices.length) && !(typeof part === "number" && (!one || (part >= one.low && part <= one.high)))) return say("A scene has no {field} “{part}”.", { field, part });
  }
  return "";
};

/** The first thing wrong with a part of a question that came from elsewhere, or "". */
const problemOf = (name, value) => {
  const move = moves.find((one) => one.name === name);
  const said = (expected) => say("{name} is {expected}, not “{value}”.", { name, expected, value: typeof value === "string" ? value : JSON.stringify(value) });
  if (move && move.low != null && !(typeof value === "number" && value >= move.low && value <= move.high)) {
    return said(say("a number from {low} to {high}", { low: move.low, high: move.high }));
  }
  if (move?.choices?.length && !move.choices.includes(value)) return said(move.choices.join(", "));
  if (name === "method" && !methods.some((one) => one.name === value)) return said(say("the name of an attribution method"));
  if (name === "pin" && !["image", "place"].includes(value)) return said("image, place");
  if (name === "pins" && !(Array.isArray(value) && value.length >= 1 && value.length <= MOST_PINS && value.every(isPlace))) {
    return said(say("1 to {most} places in the frame", { most: MOST_PINS }));
  }
  if (name === "picture" && !(pictures.includes(value) || /^own:[0-9a-f]{24}$/.test(value))) return said(pictures.join(", "));
  if (name === "scene" && value) return problemOfScene(value);
  if (!move && !["method", "pin", "pins", "picture", "scene", "parameters"].includes(name)) return say("Nothing that is asked is called “{name}”.", { name });
  return "";
};

/** Begin with what the page opens with; `out` hands the question on to gradio. */
export const begin = ({ first, options, photographs, out }) => {
  ({ moves, methods, scene: sceneFields, blank } = options);
  pictures = photographs;
  publish = out;
  for (const move of moves) question[move.name] = move.default;
  Object.assign(question, {
    method: options.method, pins: [{ x: 0.5, y: 0.5 }], pin: "image", parameters: {}, scene: first.scene || null, picture: first.picture,
  });
  publish(copy());
  state.keep("question", copy, (change) => {
    // What is wrong is left out, the rest is asked.
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

let showing = set;
/** Show something else: it is asked about at once, but where a lesson has the workbench, after it. */
export const shows = (change) => showing(change);
/** Let something else decide what becomes of what is to be shown; it gets the change and the usual way. */
export const showBy = (decide) => { showing = (change) => decide(change, set); };
