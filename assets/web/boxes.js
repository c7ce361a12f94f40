// Objects found: scenes with their exact boxes, and with those that each block's model draws.
/** @import { Handles } from "./modules" */
/** @import { BoxesServer, DrawnBoxes } from "./wire" */
import { make, need, whenNear } from "./dom.js";
import { asking } from "./live.js";
import { msg, say, sayClass } from "./words.js";

const HIT = msg("{label} {score}, found");
const MISSED = msg("{label} {score}, finds nothing");

/** @param {number[]} edges */
const place = ([left, top, right, bottom]) => `left:${100 * left}%;top:${100 * top}%;width:${100 * (right - left)}%;height:${100 * (bottom - top)}%`;

/** Put each label where it hides no other, the surest first: above its box, below, within, or in the next free line. */
/** @param {HTMLElement} seen */
const spread = (seen) => {
  const frame = seen.getBoundingClientRect();
  if (!frame.width) return;
  /** @type {{left: number, top: number, right: number, bottom: number}[]} */
  const taken = [];
  // Those of the surest boxes are drawn last.
  for (const label of [.../** @type {NodeListOf<HTMLElement>} */ (seen.querySelectorAll(".label"))].toReversed()) {
    label.style.translate = "";
    const own = label.getBoundingClientRect(), box = /** @type {HTMLElement} */ (label.parentElement).getBoundingClientRect();
    const lines = Math.floor(frame.height / own.height);
    const tops = [own.top, box.bottom + 1, box.top + 1, box.bottom - own.height - 1];
    for (let line = 1; line < lines; line++) tops.push(own.top - line * own.height, own.top + line * own.height);
    const left = Math.max(frame.left, Math.min(own.left, frame.right - own.width));
    const places = tops.filter((top) => top >= frame.top && top + own.height <= frame.bottom)
      .map((top) => ({ left, top, right: left + own.width, bottom: top + own.height }));
    const place = places.find((one) => taken.every((other) => one.right <= other.left || one.left >= other.right || one.bottom <= other.top || one.top >= other.bottom)) ?? places[0];
    if (!place) continue;
    taken.push(place);
    label.style.translate = `${place.left - own.left}px ${place.top - own.top}px`;
  }
};
const resized = new ResizeObserver((entries) => { for (const { target } of entries) spread(/** @type {HTMLElement} */ (target)); });

/** A scene with what one block's model finds in it; what it finds may be covered still. */
/** @param {DrawnBoxes} drawn @param {number} at @param {DrawnBoxes["panels"][number]} panel @param {boolean} covered */
const figure = ({ scenes }, at, { name, colour, precision, scenes: own, problem }, covered) => {
  const found = covered ? undefined : own[at];
  const said = found ? found.boxes.map(({ label, score, found: hit }) => say(hit ? HIT : MISSED, { label: sayClass(label), score: score.toFixed(2) })) : [];
  const below = covered ? say("Predict first") : say(found ? found.said : problem);
  const told = [say(name), below, ...said].join("; ");
  const seen = make("div", { class: "seen", role: "img", "aria-label": told },
    make("img", { src: scenes[at].image, alt: "" }),
    ...scenes[at].boxes.map(({ edges }) => make("span", { class: "true", style: place(edges) })),
    ...(found ? found.boxes : []).toReversed().map(({ edges, label, score, found: hit }) => make("span", { class: hit ? "box" : "box nothing", style: place(edges) },
      make("span", { class: "label", text: `${sayClass(label)} ${score.toFixed(2)}` }))));
  resized.observe(seen);
  return make("figure", { style: `--block:${colour}` },
    make("figcaption", {}, make("strong", {}, make("span", { class: "mark", style: `background:${colour}` }), say(name)), make("span", { text: covered ? "" : say(precision) })),
    seen,
    make("p", { class: "hint", text: below }));
};
/** A scene of some blocks' models beside each other, by their names. */
/** @param {DrawnBoxes} drawn @param {number} at @param {string[] | null} blocks all if null @param {boolean} covered */
export const beside = (drawn, at, blocks = null, covered = false) => make("div", { class: "found" },
  ...(blocks ?? drawn.panels.map(({ block }) => block)).flatMap((block) => drawn.panels.filter((panel) => panel.block === block)).map((panel) => figure(drawn, at, panel, covered)));

/** Draw them once they are looked at: the models answer then. */
/** @param {HTMLElement} element @param {Pick<Handles<unknown, unknown, BoxesServer>, "server">} handles */
export const boxes = (element, { server }) => {
  const root = need(element, ".part");
  const ask = asking(server.boxes, {
    deliver: (/** @type {string} */ text) => {
      /** @type {DrawnBoxes} */
      const drawn = JSON.parse(text);
      root.replaceChildren(make("p", { class: "hint", text: say(drawn.note) }),
        ...drawn.scenes.map((_, at) => beside(drawn, at)));
    },
    failed: (why) => root.replaceChildren(make("p", { class: "hint", text: why })),
    told: true,
  });
  whenNear(element, () => ask(() => ({})));
};
