// The page is put together here: each part of it is drawn once gradio has made its place.
/** @import { Bench, GradiosHandles, Handles } from "./modules" */
import { bundle, code, masthead, save } from "./masthead.js";
import { probe, working } from "./biases.js";
import { explanation } from "./blocks.js";
import { hear, tell } from "./bus.js";
import * as chosen from "./chosen.js";
import { controls } from "./controls.js";
import { example } from "./example.js";
import * as figures from "./figures.js";
import { lecture } from "./lecture.js";
import * as lesson from "./lesson.js";
import * as link from "./link.js";
import * as live from "./live.js";
import * as models from "./models.js";
import * as questions from "./question.js";
import { samples } from "./samples.js";
import { scene } from "./scene.js";
import { sheet } from "./sheet.js";
import { looked } from "./shown.js";
import { stage } from "./stage.js";
import * as ways from "./ways.js";
import * as words from "./words.js";

export { chose, opened, openedBias } from "./ways.js";
export { save };

//: Parts that need each other: they are drawn together, in an order of their own.
const BENCH = ["masthead", "ways", "models", "controls", "scene", "samples", "stage"];

/** @typedef {Pick<Handles, "props" | "watch">} Told */

/** How far a costly attribution is. */
/** @param {HTMLElement} _element @param {Pick<Handles<any>, "props" | "watch">} handles the server writes the value */
const progress = (_element, { props, watch }) => watch("value", () => {
  if (props.value && typeof props.value === "object") tell("progress", props.value);
});

/** A visitor's own picture that has reached the server is what is shown. */
/** @param {HTMLElement} _element @param {Told} handles */
const own = (_element, { props, watch }) => watch("value", () => {
  if (typeof props.value !== "string" || !props.value) return;
  questions.shows({ scene: null, picture: props.value });
  // The same picture chosen once more is an event too.
  props.value = "";
});

//: Parts that are drawn when they come, by the names that explorer/ui gives them.
/** @type {Record<string, (element: HTMLElement, handles: any) => void>} each says what its own handles are */
const PARTS = { code, bundle, progress, own, lecture, probe, working, sheet, explanation, example };

/** Wait for the styles: nothing is drawn that would be laid out anew. */
const styled = () => Promise.all([.../** @type {NodeListOf<HTMLLinkElement>} */ (document.querySelectorAll("link[rel=stylesheet]"))]
  .filter((one) => one.href.startsWith(new URL(".", import.meta.url).href) && !one.sheet)
  .map((one) => new Promise((done) => { one.addEventListener("load", done); one.addEventListener("error", done); })));

/** @param {Bench} part */
const start = async (part) => {
  const { languages, build } = part.masthead.options;
  await Promise.all([words.begin(languages), styled()]);
  for (const { element } of Object.values(part)) words.sayLabels(element);
  live.begin(build);
  ways.begin(part.ways.options);
  lesson.keep();
  chosen.begin({ first: part.models.props.value, options: part.models.options, out: (texts) => { part.models.props.value = texts; } });
  // The server adds the model of a file that was brought.
  part.models.watch("value", () => chosen.set([...part.models.props.value]));
  questions.begin({
    first: part.controls.props.value,
    options: part.controls.options,
    photographs: part.samples.options.photographs.map(({ name }) => name),
    // What is asked by events of gradio's takes it from here.
    out: (question) => { part.controls.props.value = { ...question, ...looked() }; },
  });
  models.begin(part.models.options);
  masthead(part.masthead.element, { options: part.masthead.options, trigger: part.masthead.trigger });
  controls(part.controls.element, { options: part.controls.options, trigger: part.controls.trigger });
  scene(part.scene.element, { first: part.scene.props.value, server: part.scene.server });
  samples(part.samples.element, { options: part.samples.options });
  // The page comes with the answers of its first view, unless a link asks for another.
  const given = link.asks() ? "" : part.stage.props.value;
  const { receive } = stage(part.stage.element, { options: part.stage.options, server: part.stage.server, given });
  // A costly attribution is an event of gradio's, and answers here.
  part.stage.watch("value", () => receive(part.stage.props.value));
  // One request asks for models and question; the rows of the models are there by then.
  hear("models", () => questions.set({}));
  link.begin();
  if (!given) questions.set({});
  figures.begin();
};

let begun = () => {};
/** @type {Promise<void>} */
const started = new Promise((done) => { begun = done; });
/** @type {Partial<Record<string, Handles>>} */
const waiting = {};

/** Draw a part in the place that gradio has made for it; gradio's handles are {element, trigger, props, watch, server}. */
/** @param {string} name @param {GradiosHandles} gradios */
export const mount = async (name, gradios) => {
  const handles = { ...gradios, options: JSON.parse(gradios.props.options) };
  if (BENCH.includes(name)) {
    waiting[name] = handles;
    if (BENCH.every((one) => one in waiting)) {
      await start(/** @type {Bench} */ (/** @type {unknown} */ (waiting)));
      begun();
    }
    return;
  }
  await started;
  words.sayLabels(handles.element);
  PARTS[name](handles.element, handles);
};

/** Gradio hears its parts from now on; returns the page's language, which figures of the server are drawn in. */
export const loaded = async () => {
  await started;
  const { trigger } = /** @type {Handles} */ (waiting.ways);
  ways.heard(trigger);
  if (words.language() !== words.gradiosLanguage()) trigger("language", { name: words.language() });
  return words.language();
};
