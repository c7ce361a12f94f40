// The class vote on the lecturer's page: the code that phones scan, how many have bet, and at the reveal on what.
/** @import { VoteCount, VoteCounts, VoteRefused, VoteRoom } from "./wire" */
import { make, write } from "./dom.js";
import * as lesson from "./lesson.js";
import { say, sentence } from "./words.js";

//: How often the number of votes is asked for while one is open, and whether it still leads while none is, ms.
const COUNT_MS = 1000;
const STAY_MS = 60_000;

/** @type {VoteRoom | null} */
let room = null;
/** @type {{key: string, over: boolean} | null} the step that is voted on */
let open = null;
let votes = 0;
let asking = false;
let timer = 0;
/** @type {Map<string, number[]>} "lesson step" -> bets on each answer, of what was revealed */
const counted = new Map();
/** @type {Promise<unknown>} one request after another: a reveal never overtakes its question */
let queue = Promise.resolve();
let redraw = () => {};

const keyOf = (/** @type {{lesson: number, step: number}} */ { lesson: at, step }) => `${at} ${step}`;
/** Bets on each answer of a step, null before its reveal or where none was counted. */
/** @param {{lesson: number, step: number}} at */
export const countsOf = (at) => counted.get(keyOf(at)) ?? null;

// ---- what is asked of the server

/** @template Told @param {string} path @param {object} body @returns {Promise<Told>} */
const post = async (path, body) => {
  const address = new URL(path, document.baseURI);
  const answer = await fetch(address, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })
    .catch(() => { throw new Error(say("The server cannot be reached.")); });
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) return told;
  const { problem } = /** @type {Partial<VoteRefused>} */ (told);
  throw new Error(problem ? sentence(problem) : say("The vote failed ({status}).", { status: answer.status }));
};
/** Ask of the room, after what was asked before. */
/** @template Told @param {string} path @param {object} body @param {(told: Told) => void} take */
const send = (path, body, take) => {
  queue = queue.then(async () => {
    if (!room) return;
    const { room: name, key } = room;
    /** @type {Told} */
    const told = await post(`vote/${name}/${path}`, { key, ...body });
    if (room && room.room === name) take(told);
  }).catch((error) => { problem.say(error); });
};

// ---- the card with the code

const problem = (() => {
  const element = make("p", { class: "problem", role: "alert", hidden: true });
  return { element, say: (/** @type {unknown} */ error) => {
    const words = error instanceof Error ? error.message : "";
    write(element, words);
    element.hidden = !words;
    if (words) card.hidden = false;
  } };
})();
const code = make("img", { alt: "" });
const address = make("p", { class: "address", translate: "no" });
const number = make("p", { class: "number", role: "status" });
const how = make("p", { class: "how" });
const hide = make("button", { type: "button", onclick: () => showCard(false) });
const end = make("button", { type: "button", onclick: () => close() });
const card = make("div", { id: "class-vote", class: "part", role: "dialog", hidden: true },
  make("div", { class: "code" }, code), make("div", { class: "told" }, address, how, number, problem.element, make("div", { class: "acts" }, hide, end)));
const strip = make("button", { type: "button", class: "votes", hidden: true, onclick: () => showCard(card.hidden === true) });
const button = make("button", { type: "button", class: "vote", "aria-keyshortcuts": "V", "aria-expanded": "false", "aria-controls": "class-vote", onclick: () => toggle() });
card.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  event.stopPropagation();
  showCard(false);
  button.focus();
});

const said = () => {
  if (!room) return "";
  if (open && !open.over) return votes === 1 ? say("1 vote") : say("{count} votes", { count: votes });
  if (!open) return say("The next question will be voted on.");
  return lesson.step().choices.length ? say("The vote is over.") : say("There is nothing to bet on in this step.");
};
const draw = () => {
  write(number, said());
  // After the reveal its place is the answers'.
  strip.hidden = !room || !open || open.over;
  write(strip, room ? `${said()} · ${room.address.replace(/^https?:\/\//, "")}` : "");
  strip.title = say("Show the code");
  button.setAttribute("aria-expanded", String(!card.hidden));
};
/** @param {boolean} shown */
const showCard = (shown) => { card.hidden = !shown; if (!shown) problem.say(null); draw(); };

// ---- opening, asking, ending

/** Count while a vote is open; where none is, only say that somebody still leads. */
const count = () => {
  clearTimeout(timer);
  if (!room) return;
  const at = open;
  send("count", {}, (/** @type {VoteCount} */ told) => { if (at && at === open && !at.over) { votes = told.votes; draw(); } });
  queue.then(() => { clearTimeout(timer); timer = setTimeout(count, open && !open.over ? COUNT_MS : STAY_MS); });
};

/** Follow where the lesson is: what is asked is voted on, and counted at the reveal. */
export const follow = () => {
  if (!room || !lesson.isInside()) return;
  const at = lesson.here();
  const key = keyOf(at);
  const { choices } = lesson.step();
  if (open && !open.over && (open.key !== key || at.revealed)) {
    const ended = open;
    ended.over = true;
    const told = ended.key === key && at.revealed;
    send("reveal", {}, (/** @type {VoteCounts} */ { counts }) => { if (told) { counted.set(key, counts); redraw(); } });
  }
  if (choices.length && !at.revealed && !counted.has(key) && (!open || open.over)) {
    const next = { key, over: false };
    open = next;
    votes = 0;
    send("ask", { lesson: at.lesson, step: at.step }, () => {});
    count();
  }
  draw();
};

const begin = async () => {
  if (asking) return;
  asking = true;
  problem.say(null);
  try {
    const base = document.baseURI.replace(/[?#].*$/, "");
    /** @type {VoteRoom} */
    const opened = await post("vote", { base });
    room = opened;
    code.src = opened.code;
    code.alt = say("A code that opens {address}", { address: opened.address });
    code.hidden = false;
    write(address, opened.address.replace(/^https?:\/\//, ""));
    // A number is this network's alone; a name may be known everywhere.
    const near = /^[\d.]+$/.test(new URL(opened.address).hostname);
    write(how, near ? say("Scan the code, or type the address. Phones have to be in the same network.") : say("Scan the code, or type the address."));
  } catch (error) {
    code.hidden = true;
    problem.say(error);
  }
  end.hidden = !room;
  asking = false;
  showCard(true);
  follow();
};
/** End it: phones are told, and the server forgets it. */
const close = () => {
  send("close", {}, () => {});
  queue.then(() => { room = null; open = null; clearTimeout(timer); showCard(false); redraw(); });
};
/** Open the vote, or show and hide its code. */
export const toggle = () => { if (room || !card.hidden) showCard(card.hidden === true); else begin(); };

/** Begin: the button that opens the vote, what stands beside the answers, and the card.
 * @param {() => void} drawn draws the answers with their counts */
export const voting = (drawn) => {
  redraw = drawn;
  write(button, say("Class vote"));
  button.title = `${say("Let phones bet on the answer")} (V)`;
  write(hide, say("Hide the code"));
  write(end, say("End the vote"));
  card.setAttribute("aria-label", say("Class vote"));
  addEventListener("pagehide", () => {
    if (room) navigator.sendBeacon(new URL(`vote/${room.room}/close`, document.baseURI), new Blob([JSON.stringify({ key: room.key })], { type: "application/json" }));
  });
  return { button, strip, card };
};
