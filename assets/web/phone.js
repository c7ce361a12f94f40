// The class vote on a phone: what is asked now, and a bet on it. The server says every sentence in the phone's language.
/** @import { PhoneShown } from "./wire" */
import { childrenOf, make, need, token, write } from "./dom.js";

//: How often a phone looks for the next question, ms; each waits a little longer or shorter, so that they do not ask at once.
const LOOK_MS = 3000;
const ROOM = location.pathname.replace(/\/+$/, "");

/** A token that tells this phone from others and nothing else; it stays over a reload, where the browser keeps anything. */
const ballotOf = () => {
  const name = `class-vote ${ROOM}`;
  const made = token();
  try {
    const kept = localStorage.getItem(name);
    if (!kept) localStorage.setItem(name, made);
    return { ballot: kept ?? made, isKept: Boolean(kept) };
  } catch {
    return { ballot: made, isKept: false };
  }
};

const main = need(document.body, "main");
const question = need(main, "#question");
const choices = need(main, "#choices");
const said = need(main, "#said");
const { ballot, isKept } = ballotOf();
let shown = 0; // the number of the question whose answers stand here
let asked = 0; // requests so far: an answer to an earlier one is not shown

/** @param {PhoneShown} told */
const show = (told) => {
  if (told.number !== shown || !told.number) {
    shown = told.number;
    write(question, told.question);
    choices.replaceChildren(...told.choices.map((text, at) => make("button", { type: "button", onclick: () => bet(at + 1) }, make("b", { text: at + 1 }), make("span", { text }))));
  }
  childrenOf(choices, HTMLButtonElement).forEach((one, at) => { one.setAttribute("aria-pressed", String(told.own === at + 1)); });
  write(said, told.said);
};

/** Ask, and show the answer if nothing was asked since. Returns whether the vote goes on.
 * @param {string} path @param {RequestInit} options */
const ask = async (path, options) => {
  const number = ++asked;
  try {
    const answer = await fetch(`${ROOM}/${path}`, { ...options, cache: "no-store" });
    const told = await answer.json();
    if (number !== asked) return true;
    if ("choices" in told) show(told);
    else write(said, told.said);
    return answer.status !== 404;
  } catch {
    if (number === asked) write(said, said.dataset.unheard ?? "");
    return true;
  }
};

/** @param {number} choice */
const bet = (choice) => ask("bet", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token: ballot, number: shown, choice }) });

// What is said of a bet stays: only another question, or its end, is news.
const look = async () => {
  let on = true;
  if (!document.hidden) {
    const before = asked;
    const answer = await fetch(`${ROOM}/now`, { headers: { "x-ballot": ballot }, cache: "no-store" }).catch(() => null);
    const told = answer && answer.status !== 429 ? await answer.json().catch(() => null) : null;
    if (before === asked && told && (told.number !== shown || !told.number || said.textContent === said.dataset.unheard)) show(told);
    else if (before === asked && !answer) write(said, said.dataset.unheard ?? "");
    on = answer?.status !== 404;
  }
  if (on) setTimeout(look, LOOK_MS * (0.75 + Math.random() / 2));
};
addEventListener("keydown", ({ key, ctrlKey, metaKey, altKey }) => {
  if (!ctrlKey && !metaKey && !altKey && /^[1-9]$/.test(key) && Number(key) <= choices.childElementCount) bet(Number(key));
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) ask("now", { headers: { "x-ballot": ballot } }); });
// The page came with what is asked now; only a phone that was here before may have bet on it.
show(JSON.parse(document.body.dataset.now ?? ""));
if (isKept) ask("now", { headers: { "x-ballot": ballot } });
setTimeout(look, LOOK_MS);
