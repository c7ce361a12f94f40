// Where we are in the lessons, what the workbench shows there, and the keys that lead through them.
/** @import { Asked, Look, Numeric } from "./modules" */
/** @import { AnswerRow, Lesson, Step, StepState, Words } from "./wire" */
import { hear, tell } from "./bus.js";
import { make } from "./dom.js";
import * as questions from "./question.js";
import { isAnswered, LOOK, now } from "./shown.js";
import * as state from "./state.js";
import * as ways from "./ways.js";
import { say } from "./words.js";

const root = document.documentElement;
//: How long a reveal's move takes, and how often it is asked for on the way.
const SLIDE = { ms: 1000, every: 2 };
/** @type {Numeric[]} */
const SLID = ["dx", "dy", "zoom", "angle"];

/** @typedef {{lesson: number, step: number, revealed: boolean, course: boolean}} At counted from 0; a step after the last is the summary */
/** @typedef {{models: string[], question: Partial<Asked>, look: Partial<Look>}} Shown what the workbench shows */

/** @type {Lesson[]} */
let lessons = [];
/** @type {number[]} the lessons of the course, in their order */
let course = [];
/** @type {At} */
let place = { lesson: 0, step: 0, revealed: false, course: false };
/** @type {object | null} where a link leads, until the lessons are here */
let wanted = null;
let inside = false; // whether the lecture has the workbench
/** @type {Shown | null} what the workbench showed before the lecture took it */
let own = null;
let trying = false; // whether Compare was opened to try a step out
let sliding = 0;
let fresh = false;
/** @type {(problems?: string[]) => void} the panel shows where we are */
let update = () => {};
/** @type {(number: number) => void} */
let bet = () => {};
let vote = () => {};
let present = () => {};

/** {lesson, step, revealed}, counted from 0. */
export const here = () => place;
/** @type {() => Step} */
export const step = () => lessons[place.lesson].steps[place.step] ?? {
  title: say("What was predicted, and what was seen"), question: "", explanation: "", choices: [], right: 0, panels: [], cover: [],
  formula: "", sources: [], minutes: 0, notes: "", cost: null, boxes: null, before: null, after: null,
};
/** Whether the summary at a lesson's end is shown. */
export const isSummary = () => place.step >= lessons[place.lesson].steps.length;
export const isInside = () => inside;

// ---- where we are

/** @param {{lesson?: unknown, step?: unknown, revealed?: unknown, course?: unknown}} place as a link says it */
const find = ({ lesson, step: number = 1, revealed = false, course: inCourse = false }) => {
  const at = lesson === undefined ? 0 : lessons.findIndex(({ name }) => name === String(lesson));
  if (at < 0) return say("There is no lesson “{name}”.", { name: String(lesson) });
  const count = lessons[at].steps.length;
  const there = typeof number === "number" && Number.isInteger(number) && number >= 1 && number <= count + 1;
  // A step that is not there leaves the lesson that was meant, at its beginning.
  const step = there ? number : 1;
  place = { lesson: at, step: step - 1, revealed: there && (revealed === true || number > count), course: inCourse === true && course.includes(at) };
  return there ? "" : say("This lesson has steps 1 to {count}, not “{number}”.", { count, number: String(number) });
};

const keepPlace = () => state.keep("lecture",
  () => (ways.current() === "lecture" && lessons.length ? { lesson: lessons[place.lesson].name, step: place.step + 1, revealed: place.revealed, ...(place.course ? { course: true } : {}) } : null),
  (value) => {
    if (!value) return "";
    if (typeof value !== "object") return say("There is no lesson “{name}”.", { name: String(value) });
    if (!lessons.length) { wanted = value; return ""; }
    const before = place, problem = find(value);
    if (place !== before && inside) show();
    return problem;
  });

// ---- what the workbench shows

/** Show a step; it begins with maps drawn alike, whatever was chosen under Compare. */
/** @param {Shown | StepState} shown */
const put = ({ models, question, look }) => [
  ...state.apply({ models }), ...state.apply({ question, look: { ...LOOK, layout: "below", ...look } }),
];
/** @returns {Shown} */
const snapshot = () => {
  const { models, question, look } = state.get();
  return { models, question, look };
};
const stop = () => { cancelAnimationFrame(sliding); sliding = 0; };

/** Let the step as it stands be seen. */
const show = () => {
  stop();
  const { panels, ...at } = step();
  root.dataset.lecture = at.cost || at.boxes ? "chart" : at.after ? "bench" : "summary";
  root.dataset.panels = panels.join(" ");
  cover();
  const problems = at.after ? put(place.revealed ? at.after : at.before) : [];
  fresh = Boolean(at.after);
  update(problems);
  tell("looked");
};
const cover = () => {
  const at = step();
  if (place.revealed) delete root.dataset.unrevealed;
  else root.dataset.unrevealed = "";
  tell("revealed");
  root.dataset.cover = place.revealed ? "" : at.cover.join(" ");
  if (at.after) root.dataset.models = String((place.revealed ? at.after : at.before).models.length);
};

export const reveal = () => {
  if (place.revealed) return;
  place = { ...place, revealed: true };
  cover();
  update();
  tell("looked");
  const { after } = step();
  if (after) slide(after);
};

/** Go to a state; what is a move is made before everybody's eyes. */
/** @param {StepState} to */
const slide = ({ models, question, look }) => {
  const from = { ...questions.get() };
  const moved = SLID.some((name) => question[name] !== from[name]);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches || document.hidden;
  if (still || !moved) { update(put({ models, question, look })); return; }
  const ends = SLID.map((name) => ({ name, begin: from[name], end: question[name] ?? from[name] }));
  const begin = Object.fromEntries(ends.map((one) => [one.name, one.begin]));
  update(put({ models, look, question: { ...question, ...begin } }));
  const since = performance.now();
  let frame = 0;
  const onward = () => {
    const share = Math.min((performance.now() - since) / SLIDE.ms, 1);
    const eased = share * share * (3 - 2 * share);
    // The last one is exact.
    const moving = Object.fromEntries(ends.map((one) => [one.name, share < 1 ? one.begin + eased * (one.end - one.begin) : one.end]));
    if (share === 1 || frame++ % SLIDE.every === 0) questions.set(moving);
    if (share < 1) sliding = requestAnimationFrame(onward);
  };
  sliding = requestAnimationFrame(onward);
};

/** A row shows its model's last map, whichever was looked at under Compare. */
const chooseLast = () => {
  if (!inside || root.dataset.lecture !== "bench" || !fresh || "stale" in root.dataset) return;
  fresh = false;
  const last = (/** @type {AnswerRow} */ row) => (isAnswered(row) ? row.maps[row.maps.length - 1] : undefined);
  const layers = Object.fromEntries((now.answer?.rows ?? []).flatMap((row, at) => { const map = last(row); return map ? [[at, map.layer]] : []; }));
  state.apply({ layers });
};

// ---- onward and back

/** Open a lesson at its beginning. */
/** @param {number} lesson */
export const openLesson = (lesson) => {
  place = { lesson, step: 0, revealed: false, course: false };
  show();
};
/** Begin the course: some lessons one after another. */
export const openCourse = () => {
  place = { lesson: course[0], step: 0, revealed: false, course: true };
  show();
};
/** The lesson before or after another, undefined at either end.
 * @param {number} lesson @param {number} by */
const neighbour = (lesson, by) => {
  const order = place.course ? course : [...lessons.keys()];
  return order[order.indexOf(lesson) + by];
};
/** Whether nothing follows. */
export const isOver = () => isSummary() && neighbour(place.lesson, 1) === undefined;
/** Minutes that should have passed when a step is over, and those of all that is gone through. */
export const target = () => {
  const gone = place.course ? course : [place.lesson];
  const all = (/** @type {number} */ at) => lessons[at].steps.reduce((sum, { minutes }) => sum + minutes, 0);
  const before = gone.slice(0, gone.indexOf(place.lesson)).reduce((sum, at) => sum + all(at), 0);
  const here = lessons[place.lesson].steps.slice(0, place.step + 1).reduce((sum, { minutes }) => sum + minutes, 0);
  return { now: before + here, all: gone.reduce((sum, at) => sum + all(at), 0) };
};
/** What comes next: {title, question}, null at the end. */
export const upcoming = () => {
  const { steps } = lessons[place.lesson];
  if (place.step + 1 < steps.length) return steps[place.step + 1];
  if (!isSummary()) return { title: say("What was predicted, and what was seen"), question: "" };
  const next = neighbour(place.lesson, 1);
  return next === undefined ? null : { title: lessons[next].title, question: lessons[next].steps[0].question };
};
/** @param {number} by */
const go = (by) => {
  let { lesson, step: number } = place;
  number += by;
  if (number < 0 || number > lessons[lesson].steps.length) {
    const next = neighbour(lesson, by);
    if (next === undefined) return;
    lesson = next;
    number = by > 0 ? 0 : lessons[lesson].steps.length;
  }
  place = { ...place, lesson, step: number, revealed: number === lessons[lesson].steps.length };
  show();
};
/** As a clicker does: forward reveals and then goes on, back takes the reveal back and then goes back. */
export const forward = () => { if (place.revealed) go(1); else reveal(); };
export const backward = () => {
  if (!place.revealed || isSummary()) { go(-1); return; }
  place = { ...place, revealed: false };
  show();
};

// ---- coming and going

const back = make("button", { type: "button", id: "back-to-lecture", hidden: true, onclick: () => ways.open("lecture") });

const enter = () => {
  if (inside || !lessons.length || ways.current() !== "lecture") return;
  inside = true;
  if (!trying) own = snapshot();
  trying = false;
  back.hidden = true;
  // The keys are the lecture's from now on.
  const focused = document.activeElement;
  if (focused instanceof HTMLElement && focused.matches("[role=tab]")) focused.blur();
  const problem = wanted ? find(wanted) : "";
  wanted = null;
  show();
  if (problem) tell("unrestored", [problem]);
};
/** @param {string} tab */
const leave = (tab) => {
  if (inside) {
    inside = false;
    stop();
    for (const name of ["lecture", "panels", "cover", "models", "unrevealed"]) delete root.dataset[name];
    if (document.fullscreenElement && !trying) document.exitFullscreen();
    if (!trying && own) put(own);
  }
  back.hidden = !(trying && tab === "compare");
};
/** Open the step under Compare, which shows everything, what a step covers until its reveal too. */
export const tryIt = () => {
  if (!step().after || !place.revealed) return;
  trying = true;
  state.apply({ look: { layout: own ? own.look.layout : "" } });
  ways.open("compare");
};

export const theme = () => { document.body.classList.toggle("dark"); };
export const fullscreen = () => { if (document.fullscreenElement) document.exitFullscreen(); else if (root.requestFullscreen) root.requestFullscreen().catch(() => {}); };

// ---- keys

/** @type {Record<string, (() => void) | undefined>} */
const KEYS = {
  ArrowRight: forward, PageDown: forward, " ": forward, ArrowLeft: backward, PageUp: backward,
  Enter: reveal, r: reveal, t: tryIt, f: fullscreen, d: theme, v: () => vote(), p: () => present(),
};
/** Whether a key belongs to what has the focus. */
/** @param {Element} target @param {string} key */
const isTaken = (target, key) => {
  if (target.closest("input, select, textarea, [contenteditable=true], dialog, [role=listbox]")) return true;
  // What a picture makes of these keys is its own.
  if (target.tagName === "CANVAS" && !["PageDown", "PageUp", "Enter", "r", "t", "f"].includes(key)) return true;
  if (target.closest("button, a, summary") && (key === "Enter" || key === " ")) return true;
  return Boolean(target.closest("[role=tab]")) && key.startsWith("Arrow");
};
/** @param {KeyboardEvent} event */
const press = (event) => {
  if (!inside || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const { target } = event;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (target instanceof HTMLCanvasElement && key === "Escape") { target.blur(); return; }
  if (target instanceof Element && isTaken(target, key)) return;
  if (/^[1-9]$/.test(key)) { bet(Number(key)); return; }
  const act = KEYS[key];
  if (!act) return;
  event.preventDefault();
  act();
};

/** Keep the place in the state, before the lessons are here. */
export const keep = () => {
  keepPlace();
  hear("tab", (tab) => { if (tab === "lecture") enter(); else leave(tab); });
  // Whoever goes back to before the lecture finds that under Compare, not what the lecture found there.
  hear("restoring", ({ tab, models, question, look }) => {
    stop();
    if (inside && tab !== "lecture") own = { models, question, look };
  });
  // A picture of one's own that arrives during a lesson waits under Compare.
  questions.showBy((change, set) => {
    if (inside && own) own.question = { ...own.question, ...change };
    else set(change);
  });
};

/** Begin with the lessons; `panel` {update(problems), bet(number), vote(), present()} shows where we are. */
/** @param {Lesson[]} all @param {string[]} names of the lessons of the course @param {{update: typeof update, bet: typeof bet, vote: typeof vote, present: typeof present}} panel */
export const begin = (all, names, panel) => {
  lessons = all;
  course = names.map((name) => lessons.findIndex((one) => one.name === name));
  ({ update, bet, vote, present } = panel);
  back.textContent = say("← Back to the lecture");
  document.body.append(make("div", { class: "part back" }, back));
  hear("answered", chooseLast);
  addEventListener("keydown", press);
  enter();
};
