// The answers: a row a model, drawn on canvases from raw numbers that were sent once.
/** @import { Answer, AnsweredRow, Call, Decoded, DecodedBank, Row } from "./modules" */
/** @import { Place } from "./view" */
/** @import { Bank, LiveAnswer, StageOptions } from "./wire" */
import { against } from "./against.js";
import { isTold, stayed } from "./answer.js";
import { attention } from "./attention.js";
import { attribution } from "./attribution.js";
import { hear, tell } from "./bus.js";
import { chips } from "./chips.js";
import * as chosen from "./chosen.js";
import { learnPalettes } from "./colours.js";
import { make, need, write } from "./dom.js";
import { chooseLayers, keepLayers } from "./layers.js";
import { asking } from "./live.js";
import { toolbar } from "./looks.js";
import { lacksSinks } from "./maps.js";
import { addButton, editorOf, nameOf } from "./models.js";
import { bytes } from "./numbers.js";
import { picture } from "./panel.js";
import * as questions from "./question.js";
import { makeRow, present } from "./row.js";
import { showSeen } from "./seen.js";
import { hasAnswered, isAnswered, looked, now, rows, shownRows } from "./shown.js";
import { paintAll } from "./views.js";
import { msg, say } from "./words.js";

const SETTLED_MS = 250;
//: From so many models on, they stand two to a line where a line is wide enough.
const SIDE_BY_SIDE = { models: 3, width: 620, ample: 860 };
const UNTRAINED = msg("Models marked random have learnt nothing: their maps show the architecture only. Choose “pretrained” to fetch learnt weights from the Hugging Face hub.");

const list = make("div", { class: "rows" });
const foot = make("div", { class: "foot" });
const status = make("span", { class: "status", role: "status" });
const verdict = make("span", { class: "verdicts" });
const notes = make("p", { class: "picture-notes" });
/** @type {ReturnType<typeof toolbar> | null} */
let bar = null;
/** @type {ReturnType<typeof against> | null} */
let beside = null;
/** @type {DOMStringMap} what the part says of itself */
let dataset = {};
let width = 0; // of the list, px

// ---- what is drawn

const isSide = () => now.look.layout === "side"
  || (!now.look.layout && shownRows().length >= SIDE_BY_SIDE.models && width >= SIDE_BY_SIDE.width);

const arrange = () => {
  list.classList.toggle("side", isSide());
  list.classList.toggle("narrow", width < SIDE_BY_SIDE.ample);
  const answered = now.answer ? now.answer.rows.filter(isAnswered) : [];
  // What all see alike is shown once, beside its controls; until they have answered they may.
  list.classList.toggle("alike", isSide() && now.look.view === "after" && Boolean(questions.get().scene) && answered.every((row) => row.images[1] === answered[0].images[1]));
  bar?.show(answered.some((row) => row.maps.some((map) => map.prefix.length)));
};

/** Whether a row shows the answer of its model to the present question. */
/** @param {Row} row */
const isFresh = (row) => row.data !== null && row.answer !== null && !row.missing && row.data.asked === chosen.models()[row.index]
  && questions.isAnsweredBy(row.answer);
/** Dim what is no answer to the present question, until that comes. */
const mark = () => {
  const late = shownRows().filter((row) => !isFresh(row));
  for (const row of shownRows()) {
    // As attributes of their own: a style of gradio's asks for parts of class names, so that a class that comes or goes
    // has the browser find the styles of all that is within anew, with every frame of a drag.
    row.element.toggleAttribute("data-stale", late.includes(row));
    row.element.toggleAttribute("data-moving", late.includes(row) && row.answer !== null && questions.isAnsweredBy(row.answer, false));
  }
  if (!late.length && shownRows().length) delete document.documentElement.dataset.stale;
  else document.documentElement.dataset.stale = "";
};

/** Rows of the present answer: what a row keeps of an earlier one has its numbers and pictures there. */
const live = () => shownRows().filter(hasAnswered).filter((row) => now.answer?.rows.includes(row.data));
/** Draw again what is here; ask the server only for numbers that are not. */
const draw = () => {
  if (!now.answer) return;
  for (const row of live()) { row.missing = false; showSeen(row, row.data, now.images); }
  const shared = now.look.scale === "kind";
  paintAll(live().map((row) => attention(row, row.data, now.images)).filter((one) => one !== null), shared);
  // Activations of different networks have no unit in common.
  paintAll(live().map((row) => attribution(row, row.data, now.images)).filter((one) => one !== null), now.look.scale === "all");
  beside?.show(now.images);
  bar?.legend(!now.answer.identity, now.look.view !== "difference" && live().some(({ attribution: { shown } }) => shown?.range.map === "diverging"));
  mark();
};
/** @param {Row} [row] whose map somebody chose */
const redraw = (row) => {
  arrange();
  draw();
  if (shownRows().some(({ missing }) => missing) || (now.look.sinkless && row && lacksSinks(row))) questions.set({});
};
let frame = 0;
const soon = () => {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => redraw());
};

/** Put the rows of the chosen models in their places. */
const place = () => {
  const models = chosen.models();
  while (rows.length < models.length) rows.push(makeRow(rows.length, redraw));
  list.replaceChildren(...shownRows().map((row) => row.element));
  models.forEach((text, index) => {
    const row = rows[index];
    const editor = editorOf(index);
    if (!row.headline.contains(editor.element)) row.headline.replaceChildren(editor.element, row.badge, row.device, editor.remove);
    if (row.data && row.data.asked !== text) {
      // A row that moved up keeps its answer; a new text waits for its own.
      row.data = now.answer ? now.answer.rows.find((one) => one.asked === text) || null : null;
      row.answer = now.answer;
      row.layer = row.part = null;
    }
    row.element.classList.toggle("waiting", !row.data);
    if (row.data) present(row);
  });
  foot.replaceChildren(addButton());
  arrange();
  mark();
  soon();
};

// ---- what is answered

/** @param {Place[]} pins */
const places = (pins) => JSON.stringify(pins.map(({ x, y }) => [x, y]));
/** How much of the present question an answer answers: 0 for nothing; `here` where it is shown already. */
/** @param {Answer | null} answer @param {boolean} here */
const worth = (answer, here) => {
  if (!answer || JSON.stringify(answer.models) !== JSON.stringify(chosen.models()) || !questions.isAnsweredBy(answer)) return 0;
  const { pins, pin } = questions.get();
  if (here ? shownRows().some((row) => row.missing) : answer.pin !== pin || places(answer.pins) !== places(pins)) return 1;
  return 2 + answer.rows.filter(isAnswered).length + answer.rows.filter((row) => isAnswered(row) && row.attribution.after).length;
};

/** Give each row its model's part of an answer. */
/** @param {Answer} answer */
const handOut = (answer) => chosen.models().forEach((name, index) => {
  const own = answer.rows[index];
  const data = own && own.asked === name ? own : answer.rows.find((one) => one.asked === name);
  if (!data) return;
  rows[index].data = data;
  rows[index].answer = answer;
  present(rows[index]);
});

/** Which models keep their answer after a move and which do not, in a sentence; it waits for a lesson's reveal. */
/** @param {Answer} answer */
const verdictOf = ({ identity, rows: all }) => {
  if (identity || !isTold()) return "";
  const [kept, lost] = [true, false].map((same) => all.filter(isAnswered).filter(({ predictions }) => stayed(predictions) === same)
    .map(({ asked }) => nameOf(asked)).join(", "));
  return [kept && say("Kept: {models}.", { models: kept }), lost && say("Changed: {models}.", { models: lost })].filter(Boolean).join(" ");
};

/** @type {Answer | null} whose pictures are being decoded */
let coming = null;
/** Take an answer, unless what is shown or coming answers more of what is asked now. */
/** @param {unknown} text */
const receive = async (text) => {
  if (typeof text !== "string" || !text) return;
  /** @type {LiveAnswer} */
  const told = JSON.parse(text);
  /** @type {Answer} */
  const next = { ...told, blob: bytes(told.blob) };
  if (next.gone && !questions.get().scene && questions.get().picture === next.lost) {
    questions.set({ picture: next.at.picture }, false);
    tell("notice", say(next.gone));
  }
  if (worth(next, false) < Math.max(worth(now.answer, true), worth(coming, false))) return; // a late one
  coming = next;
  const loaded = await Promise.all(next.images.map((image) => picture(image, next.blob)));
  if (coming !== next) return; // another answer has come meanwhile
  coming = null;
  now.answer = next;
  now.images = loaded;
  if (next.models[0] === chosen.models()[0]) questions.setFrame(next.frame);
  handOut(next);
  chooseLayers();
  write(verdict, verdictOf(next));
  write(status, next.identity ? say("Not moved.") : say("Moved: {move}.", { move: say(next.transform) }));
  const lines = next.notes.map((line) => say(line));
  if (next.rows.some((row) => isAnswered(row) && row.state === "random")) lines.push(say(UNTRAINED));
  write(notes, lines.join(" "));
  arrange();
  // Numbers that are still missing were asked for already: another answer is under way.
  draw();
  tell("answered");
  dataset.key = next.key;
  dataset.transform = say(next.transform);
  dataset.painted = String(performance.now());
  settle();
};

// ---- whole maps, so that asking from elsewhere is instant

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
let hovered = false;
let askBank = () => {};
/** @param {number | null} number @param {number} index */
const inBank = (number, index) => {
  const row = now.answer?.rows[index];
  if (number === null || !now.bank || !isAnswered(row) || !row.maps[number] || row.maps[number].kind !== "pairwise") return true;
  return now.bank.tried.has(`${index} ${number}`) || Boolean(now.bank.rows[index].maps[number]);
};
/** Once nothing has moved for a while and somebody is about to ask, fetch what makes asking instant. */
const settle = () => {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (now.answer && hovered && questions.isAnsweredBy(now.answer) && (!now.bank || now.bank.key !== now.answer.key || !looked().layers.every(inBank))) askBank();
  }, SETTLED_MS);
};
/** @param {string} text */
const receiveBank = (text) => {
  /** @type {Bank} */
  const told = JSON.parse(text);
  if (!now.answer || told.key !== now.answer.key) return;
  now.bank = { ...told, blob: bytes(told.blob), tried: new Set(told.layers.map((number, index) => `${index} ${number}`)) };
  dataset.bank = told.key;
  if (!now.answer.complete) soon();
};

// ---- the part

const asked = () => ({ models: [...chosen.models()], question: { ...questions.copy(), ...looked() } });

/** @param {{answer: Call, bank: Call}} server */
const listen = (server) => {
  const failed = (/** @type {string} */ words) => tell("notice", words);
  const ask = asking(server.answer, { deliver: receive, failed, told: true });
  const bank = asking(server.bank, { deliver: receiveBank });
  askBank = () => bank(asked);
  hear("due", () => ask(asked));
  hear("hover", () => {
    if (hovered) return;
    hovered = true;
    settle();
  });
  hear("ask", (at) => {
    questions.ask(at);
    tell("pins");
  });
  // Drawn from the bank where it reaches; where it does not, redraw asks the server.
  hear("pins", () => redraw());
  hear("look", () => {
    if (now.look.sinkless && shownRows().some(lacksSinks)) questions.set({});
    soon();
  });
  hear("looked", settle);
  hear("resized", soon);
  hear("said", (words) => write(status, words));
  // What is shown follows the pointer at once, its answers when they come.
  hear("asked", () => {
    mark();
    if (list.classList.contains("alike") || now.look.view !== "after") return;
    for (const row of live()) showSeen(row, row.data, now.images);
  });
  hear("models", place);
  hear("revealed", () => {
    for (const row of live()) present(row);
    if (now.answer) write(verdict, verdictOf(now.answer));
  });
  new ResizeObserver(([{ contentRect }]) => { width = contentRect.width; soon(); }).observe(list);
};

/** Draw the stage; `given` the answers that the page came with, or "". */
/**
 * @param {HTMLElement} element
 * @param {{options: StageOptions, server: {answer: Call, bank: Call}, given: string | null}} handles
 */
export const stage = (element, { options, server, given }) => {
  const root = need(element, ".part");
  dataset = root.dataset;
  learnPalettes(options.palettes);
  bar = toolbar(Object.keys(options.palettes), isSide);
  keepLayers();
  beside = against();
  root.replaceChildren(chips(), bar.element, make("p", { class: "said" }, status, verdict), beside.element, list, notes, foot);
  width = list.clientWidth;
  place();
  listen(server);
  if (given) receive(given);
  return { receive };
};
