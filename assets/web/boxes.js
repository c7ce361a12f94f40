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

/** A scene with what one block's model finds in it; what it finds may be covered still. */
/** @param {DrawnBoxes} drawn @param {number} at @param {DrawnBoxes["panels"][number]} panel @param {boolean} covered */
const figure = ({ scenes }, at, { name, colour, precision, scenes: own, problem }, covered) => {
  const found = covered ? undefined : own[at];
  const said = found ? found.boxes.map(({ label, score, found: hit }) => say(hit ? HIT : MISSED, { label: sayClass(label), score: score.toFixed(2) })) : [];
  const below = covered ? say("Predict first") : say(found ? found.said : problem);
  const told = [say(name), below, ...said].join("; ");
  return make("figure", { style: `--block:${colour}` },
    make("figcaption", {}, make("strong", {}, make("span", { class: "mark", style: `background:${colour}` }), say(name)), make("span", { text: covered ? "" : say(precision) })),
    make("div", { class: "seen", role: "img", "aria-label": told },
      make("img", { src: scenes[at].image, alt: "" }),
      ...scenes[at].boxes.map(({ edges }) => make("span", { class: "true", style: place(edges) })),
      ...(found ? found.boxes : []).toReversed().map(({ edges, label, score, found: hit }) => make("span", { class: hit ? "box" : "box nothing", style: place(edges) },
        make("span", { class: "label", text: `${sayClass(label)} ${score.toFixed(2)}` })))),
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
