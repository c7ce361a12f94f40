// What a model answers: its first classes, now and before the move, and whether the answer stayed.
/** @import { AnsweredRow, Answer } from "./modules" */
/** @import { Prediction } from "./wire" */
import { childrenOf, make, write } from "./dom.js";
import { now } from "./shown.js";
import { say, sayClass } from "./words.js";

/** Whether what became of an answer may be told: a lesson's step asks for it first, and tells it with the reveal. */
export const isTold = () => !("unrevealed" in document.documentElement.dataset);

/** A probability as it is read. */
/** @param {number | null} p */
export const percent = (p) => (p === null ? say("not a number") : p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`);

/** Show the answer of a row's model. */
/** @param {AnsweredRow} row */
export const showTop = (row) => {
  const { answer } = now;
  if (!answer) return;
  const telling = isTold();
  const [before, after] = row.data.predictions;
  const about = after.reason || after.about;
  write(row.topReason, say(about));
  row.topReason.hidden = !about;
  const was = new Map(before.top.map((one) => [one.index, one.p]));
  const least = before.top.length ? before.top[before.top.length - 1].p : 0;
  while (row.top.children.length > after.top.length) row.top.lastElementChild?.remove();
  while (row.top.children.length < after.top.length) {
    row.top.append(make("li", {}, make("span", { class: "label" }), make("span", { class: "share" }),
      make("span", { class: "track" }, make("span", { class: "solid" }), make("span", { class: "thin" }))));
  }
  const fewer = say("not among the first five (at most {least})", { least: percent(least) });
  after.top.forEach((one, rank) => {
    const item = childrenOf(row.top, HTMLElement)[rank];
    const [label, share, track] = childrenOf(item, HTMLElement);
    const [solid, thin] = childrenOf(track, HTMLElement);
    const right = telling && Boolean(answer.truth) && one.label === answer.truth;
    const name = sayClass(one.label);
    item.classList.toggle("right", right);
    write(label, name);
    write(share, percent(one.p));
    solid.style.width = `${100 * one.p}%`;
    const earlier = was.get(one.index);
    thin.hidden = earlier === undefined || answer.identity || !telling;
    if (earlier !== undefined) thin.style.width = `${100 * earlier}%`;
    item.title = (right ? `${say("What the scene shows.")} ` : "") + (answer.identity || !telling ? name
      : say("{label}: now {now}, before the move {before}", { label: name, now: percent(one.p), before: earlier === undefined ? fewer : percent(earlier) }));
  });
  row.key.classList.toggle("idle", answer.identity || !telling || !after.top.length);
  if (telling) showVerdict(row, answer, before, after);
  else {
    keeps(row, null);
    write(row.verdict, "");
  }
};

/** Mark a model that keeps its answer, or does not; null where that is not told. */
/** @param {AnsweredRow} row @param {boolean | null} same */
const keeps = ({ element }, same) => {
  element.toggleAttribute("data-kept", same === true);
  element.toggleAttribute("data-lost", same === false);
};

/** Whether an answer stayed after the move; null where one of the two is none. */
/** @param {Prediction[]} predictions before and after */
export const stayed = ([before, after]) => (before.top.length && after.top.length ? before.decided.join() === after.decided.join() : null);

/** In words: whether the answer stayed, and what of the scene it goes with where its parts say different things. */
/** @param {AnsweredRow} row @param {Answer} answer @param {Prediction} before @param {Prediction} after */
const showVerdict = (row, answer, before, after) => {
  const lines = [];
  const same = answer.identity ? null : stayed([before, after]);
  keeps(row, same);
  if (!after.top.length) { write(row.verdict, ""); return; }
  if (same !== null) lines.push(same ? say("keeps its answer") : say("changes its answer: {before} → {after}", { before: sayClass(before.answer), after: sayClass(after.answer) }));
  const { texture, background } = answer.cues;
  if (answer.truth && (texture !== answer.truth || background !== answer.truth)) {
    if (after.answer === answer.truth) lines.push(say("follows the shape"));
    else if (after.answer === texture) lines.push(say("follows the texture"));
    else if (after.answer === background) lines.push(say("follows the background"));
  }
  write(row.verdict, lines.join(" · "));
};
