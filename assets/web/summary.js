// What stands at a lesson's end: what was predicted and what was seen, from the bets and answers of this page.
/** @import { Lesson } from "./wire" */
import { hear } from "./bus.js";
import { make } from "./dom.js";
import * as lesson from "./lesson.js";
import { titleOf } from "./models.js";
import { isAnswered, now } from "./shown.js";
import { countsOf } from "./vote.js";
import { say, sayClass } from "./words.js";

/** @typedef {{before?: Map<string, string>, after?: Map<string, string>}} Seen model -> its answer */
/** @type {Map<string, number>} "lesson step" -> the bet that was taken on this page */
const bets = new Map();
/** @type {Map<string, Seen>} */
const seen = new Map();

/** @param {number} at @param {number} step */
const keyOf = (at, step) => `${at} ${step}`;
/** A bet was taken on the step that is shown. */
/** @param {number} number */
export const predicted = (number) => { const { lesson: at, step } = lesson.here(); bets.set(keyOf(at, step), number); };

/** Remember what the models answer to a step, before its reveal and after it. */
const remember = () => {
  if (!lesson.isInside() || "stale" in document.documentElement.dataset || !now.answer) return;
  const { after, before } = lesson.step();
  const { lesson: at, step, revealed } = lesson.here();
  const shown = revealed ? after : before;
  // A move on its way is no answer to the step yet.
  if (!shown || shown.question.dx !== now.answer.at.dx || shown.question.dy !== now.answer.at.dy) return;
  const answers = new Map(now.answer.rows.filter(isAnswered).map(({ asked, predictions }) => [asked, predictions[1].top[0]?.label ?? ""]));
  seen.set(keyOf(at, step), { ...seen.get(keyOf(at, step)), [revealed ? "after" : "before"]: answers });
};

/** @param {Seen | undefined} told @param {Lesson["steps"][number]} step */
const sawOf = (told, step) => {
  if (!told?.after || !step.panels.includes("answers")) return "";
  return [...told.after].map(([model, label]) => {
    const before = told.before?.get(model);
    const [from, to] = [before && sayClass(before), sayClass(label)];
    return before && before !== label ? `${titleOf(model)}: ${from} → ${to}` : `${titleOf(model)}: ${to}`;
  }).join(" · ");
};

/** What was predicted of a step: by the class where it voted, otherwise on this page.
 * @param {number} at @param {number} number @param {string[]} choices */
const predictionOf = (at, number, choices) => {
  const counts = countsOf({ lesson: at, step: number });
  if (counts) {
    const all = counts.reduce((sum, one) => sum + one, 0);
    return choices.map((text, index) => ({ text, index })).filter(({ index }) => counts[index])
      .map(({ text, index }) => `${text}: ${say("{count} of {all}", { count: counts[index], all })}`).join(" · ") || say("Nobody bet.");
  }
  const bet = bets.get(keyOf(at, number));
  return bet ? choices[bet - 1] : "–";
};

/** The summary of a lesson: {element, show()}. */
/** @param {Lesson[]} lessons */
export const summary = (lessons) => {
  const element = make("div", { class: "summary", hidden: true });
  hear("answered", remember);
  const show = () => {
    element.hidden = !lesson.isSummary();
    if (element.hidden) { element.replaceChildren(); return; }
    const { lesson: at } = lesson.here();
    const rows = lessons[at].steps.map((step, number) => {
      const right = step.right ? step.choices[step.right - 1] : "–";
      const bet = bets.get(keyOf(at, number));
      const hit = !countsOf({ lesson: at, step: number }) && bet && step.right ? (bet === step.right ? " ✓" : " ✗") : "";
      return make("tr", {}, make("th", { scope: "row" }, step.title), make("td", { text: predictionOf(at, number, step.choices) + hit }),
        make("td", { class: "right", text: right }), make("td", { text: sawOf(seen.get(keyOf(at, number)), step) }));
    });
    const heads = [say("Step"), say("Predicted"), say("Right"), say("What the models answered")];
    element.replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col", text })))), make("tbody", {}, ...rows)));
  };
  return { element, show };
};
