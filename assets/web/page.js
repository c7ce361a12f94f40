// The page is put together here: the first view at once, each other part once gradio has made its place.
/** @import { GradiosHandles, Handles, Opening } from "./modules" */
import { probe, working } from "./biases.js";
import { explanation } from "./blocks.js";
import { board } from "./board.js";
import { boxes } from "./boxes.js";
import { hear, tell } from "./bus.js";
import { brought } from "./brought.js";
import { cards } from "./cards.js";
import * as chosen from "./chosen.js";
import { claims } from "./claims.js";
import { controls } from "./controls.js";
import { example } from "./example.js";
import { examples } from "./examples.js";
import { factors } from "./factors.js";
import * as figures from "./figures.js";
import { findings } from "./findings.js";
import { lecture } from "./lecture.js";
import * as lesson from "./lesson.js";
import * as link from "./link.js";
import * as live from "./live.js";
import { code, masthead, save, written } from "./masthead.js";
import * as models from "./models.js";
import { lay, settle } from "./opening.js";
import { places as everywhere } from "./places.js";
import * as questions from "./question.js";
import { samples } from "./samples.js";
import { scene } from "./scene.js";
import { sets } from "./sets.js";
import { sheet } from "./sheet.js";
import { looked } from "./shown.js";
import * as sight from "./sight.js";
import { stage } from "./stage.js";
import * as takeaway from "./takeaway.js";
import * as ways from "./ways.js";
import * as words from "./words.js";

export { arrived, chose, folded, opened, openedBias } from "./ways.js";
export { save };
export { address } from "./link.js";

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

/** @typedef {(element: HTMLElement, handles: any) => void} Draws each part says what its own handles are */
//: Parts that are drawn when they come, by the names that explorer/ui gives them.
/** @type {Record<string, Draws>} */
const PARTS = {
  board, brought, cards, examples, findings, factors, boxes, claims, lecture, probe, working, sets, sheet, explanation, example, code, written, progress, own,
  places: everywhere,
};

/** Wait for the styles: nothing is drawn that would be laid out anew. */
const styled = () => Promise.all([.../** @type {NodeListOf<HTMLLinkElement>} */ (document.querySelectorAll("link[rel=stylesheet]"))]
  .filter((one) => one.href.startsWith(new URL(".", import.meta.url).href) && !one.sheet)
  .map((one) => new Promise((done) => { one.addEventListener("load", done); one.addEventListener("error", done); })));

//: Where gradio puts the parts of the first view; what they ask of gradio waits until then.
/** @type {{[Name in keyof Opening]: (handles: GradiosHandles) => void}} */
const came = /** @type {any} */ ({});
/** @param {keyof Opening} name @returns {Promise<GradiosHandles>} */
const awaited = (name) => new Promise((done) => { came[name] = done; });
const places = {
  masthead: awaited("masthead"), ways: awaited("ways"), models: awaited("models"), controls: awaited("controls"),
  scene: awaited("scene"), samples: awaited("samples"), stage: awaited("stage"),
};
/** @param {keyof Opening} name @returns {import("./modules").Trigger} */
const triggering = (name) => async (event, data) => (await places[name]).trigger(event, data);
/** @param {keyof Opening} name @param {string} what @returns {import("./modules").Call} */
const calling = (name, what) => async (body) => (await places[name]).server[what](body);
/** @param {"models" | "controls"} name @returns {(value: unknown) => Promise<void>} */
const handing = (name) => async (value) => { (await places[name]).props.value = value; };
/** @param {keyof Opening} name @param {(value: unknown) => void} heard */
const watching = async (name, heard) => {
  const { props, watch } = await places[name];
  watch("value", () => heard(props.value));
};

/** @param {Opening} opening */
const start = async (opening) => {
  await Promise.all([words.begin(opening.masthead.options.languages), styled()]);
  const drawn = lay(opening, opening.ways.options.opens === "compare" && !link.asks("tab", "lecture"));
  live.begin(opening.masthead.options.build);
  takeaway.begin();
  sight.begin();
  ways.begin(opening.ways.options);
  lesson.keep();
  chosen.begin({ first: opening.models.first, options: opening.models.options, out: handing("models") });
  // The server adds the model of a file that was brought.
  watching("models", (texts) => chosen.set([.../** @type {string[]} */ (texts)]));
  const out = handing("controls");
  questions.begin({
    first: opening.controls.first,
    options: opening.controls.options,
    samples: opening.samples.options.pictures,
    // What is asked by events of gradio's takes it from here.
    out: (question) => out({ ...question, ...looked() }),
  });
  models.begin(opening.models.options);
  masthead(drawn.masthead, { options: opening.masthead.options, trigger: triggering("masthead") });
  controls(drawn.controls, { options: opening.controls.options, trigger: triggering("controls") });
  scene(drawn.scene, { first: opening.scene.first, server: { layers: calling("scene", "layers") } });
  samples(drawn.samples, { options: opening.samples.options });
  // The page comes with the answers of its first view, unless a link asks for another.
  const given = link.asks("models", "question") ? "" : opening.stage.first;
  const server = { answer: calling("stage", "answer"), bank: calling("stage", "bank") };
  const { receive } = stage(drawn.stage, { options: opening.stage.options, server, given });
  // A costly attribution is an event of gradio's, and answers here.
  watching("stage", receive);
  // One request asks for models and question; the rows of the models are there by then.
  hear("models", () => questions.set({}));
  link.begin();
  if (!given) questions.set({});
  return drawn;
};
/** @type {(opening: Opening) => void} */
let open;
/** @type {ReturnType<typeof start>} */
const started = new Promise((done) => { open = (opening) => done(start(opening)); });
/** Begin; called by the file that says what the page opens with, which comes along with this one. */
/** @param {Opening} opening */
export const begin = (opening) => open(opening);

const settled = (async () => {
  const drawn = await started;
  const found = await Promise.all(Object.entries(places).map(async ([name, place]) => [name, (await place).element]));
  settle(drawn, Object.fromEntries(found));
})();
settled.then(() => figures.begin());

/** Draw a part in the place that gradio has made for it; gradio's handles are {element, trigger, props, watch, server}. */
/** @param {string} name @param {GradiosHandles} gradios */
export const mount = async (name, gradios) => {
  if (name in came) {
    came[/** @type {keyof Opening} */ (name)](gradios);
    return;
  }
  const handles = { ...gradios, options: JSON.parse(gradios.props.options) };
  await started;
  words.sayLabels(handles.element);
  PARTS[name](handles.element, handles);
};

/** Gradio hears its parts from now on; returns the page's language, which figures of the server are drawn in. */
export const loaded = async () => {
  await settled;
  const { trigger } = await places.ways;
  ways.heard(trigger);
  if (words.language() !== words.gradiosLanguage()) trigger("language", { name: words.language() });
  return words.language();
};
