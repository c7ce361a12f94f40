// A minus B: the maps that two rows show, subtracted, and what that comes to in a sentence.
/** @import { Decoded, Panel, AnsweredRow, PaintedMap } from "./modules" */
import { make, write } from "./dom.js";
import { minus, shareOn } from "./minus.js";
import { nameOf } from "./models.js";
import { numbers } from "./numbers.js";
import { blank, note, paint, panel, read } from "./panel.js";
import { hasAnswered, now, shownRows } from "./shown.js";
import { under } from "./views.js";
import { msg, say, sayClass } from "./words.js";

/** @typedef {"attention" | "attribution"} What */
//: What is said of the share that lies on the object: of evidence, and of attention.
const MORE = {
  attention: msg("{more} looks more at the {object}: {most} % of its attention against {least} %."),
  attribution: msg("{more} rests more on the {object}: {most} % of its evidence against {least} %."),
};
const ALIKE = {
  attention: msg("{one} and {two} look at the {object} alike: {share} % of their attention."),
  attribution: msg("{one} and {two} rest on the {object} alike: {share} % of their evidence."),
};

/** The two rows that the look names, by their numbers; null where one is not here. */
const pair = () => {
  const [one, two] = [now.look.first, now.look.second].map((number) => shownRows()[Number(number) - 1]);
  return one && two && hasAnswered(one) && hasAnswered(two) ? { one, two } : null;
};
/** What the two models are called: by their whole names where their blocks are the same. */
/** @param {AnsweredRow} one @param {AnsweredRow} two */
const namesOf = (one, two) => {
  const short = [nameOf(one.data.asked), nameOf(two.data.asked)];
  return short[0] === short[1] ? [one.data.asked, two.data.asked] : short;
};

/** How much of two maps lies on the object, and how alike they are, in words. */
/** @param {What} what @param {[PaintedMap, PaintedMap]} maps @param {string[]} names @param {number | null} alike */
const verdict = (what, maps, [one, two], alike) => {
  const { answer, look } = now;
  const mask = answer?.masks[look.view === "after" ? 1 : 0];
  const lines = [];
  if (answer && mask) {
    const cover = { values: numbers(answer.blob, mask), rows: mask.s[0], columns: mask.s[1] };
    const [a, b] = maps.map((map) => Math.round(100 * (shareOn(map, cover) ?? 0)));
    const object = sayClass(answer.truth);
    if (a === b) lines.push(say(ALIKE[what], { one, two, object, share: a }));
    else lines.push(say(MORE[what], { more: a > b ? one : two, object, most: Math.max(a, b), least: Math.min(a, b) }));
  }
  if (alike !== null) lines.push(say("Rank correlation of the two: {value} (1 where they order their cells alike, 0 where not at all).", { value: alike.toFixed(2) }));
  return lines.join(" ");
};

/** @param {Panel} part @param {What} what @param {Decoded[]} images */
const draw = (part, what, images) => {
  const found = pair();
  note(part, []);
  write(part.about, "");
  if (!found) { blank(part, say("Two models that have answered are needed.")); return; }
  const { one, two } = found;
  const [a, b] = [one[what].shown, two[what].shown];
  const names = namesOf(one, two);
  const missing = names.filter((_, at) => ![a, b][at]);
  if (now.look.view === "difference") { blank(part, say("A difference has no shares that could be compared. Choose another view.")); return; }
  if (!a || !b) { blank(part, say("No such map here: {models}.", { models: missing.join(", ") })); return; }
  const left = minus(a, b);
  if (!left) { blank(part, say("One of the two maps has no weight.")); return; }
  const far = left.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const unit = say("percentage points of each map's weight: red where {one} has more, blue where {two}", { one: names[0], two: names[1] });
  paint(part, { ...left, range: { map: "diverging", low: -far, high: far }, signed: true, outside: () => say("not in both maps") }, one.data.size, under(one.data, images), {
    hatched: Boolean(left.valid),
    unit,
    words: say("{one} minus {two}", { one: names[0], two: names[1] }),
  });
  write(part.about, verdict(what, [a, b], names, left.alike));
  note(part, [left.resampled ? say("Their grids differ ({one} and {two} cells); both are shown on the finer.", { one: `${a.rows} × ${a.columns}`, two: `${b.rows} × ${b.columns}` }) : ""]);
};

/** The section that shows it: {element, show(images)}. */
export const against = () => {
  const heading = make("h2");
  const parts = { attention: panel("attention", say("Attention")), attribution: panel("attribution", say("Attribution")) };
  const element = make("section", { class: "minus", "aria-label": say("One model minus another"), hidden: true }, heading, ...Object.values(parts).map((one) => one.element));
  for (const part of Object.values(parts)) {
    part.canvas.addEventListener("pointermove", (event) => read(part, event));
    part.canvas.addEventListener("pointerleave", () => write(part.reading, part.rest));
  }
  /** @param {Decoded[]} images */
  const show = (images) => {
    element.hidden = now.look.show !== "minus";
    if (element.hidden) return;
    const found = pair();
    const [one, two] = found ? namesOf(found.one, found.two) : ["A", "B"];
    write(heading, say("{one} minus {two}", { one, two }));
    draw(parts.attention, "attention", images);
    draw(parts.attribution, "attribution", images);
  };
  return { element, show };
};
