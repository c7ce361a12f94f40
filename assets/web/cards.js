// What the laboratory found: a card a finding, with its two numbers drawn and the ways to where it is seen.
/** @import { Handles } from "./modules" */
/** @import { CardsServer, FindingCard, FindingWays } from "./wire" */
import { make, need, whenNear } from "./dom.js";
import { asking } from "./live.js";
import { say } from "./words.js";

/** @param {FindingCard["bars"][number]} bar @param {number} most */
const drawn = ({ name, colour, value, low, high, text }, most) => {
  const share = (/** @type {number} */ number) => `${(100 * Math.max(0, number)) / most}%`;
  const track = make("span", { class: "track", "aria-hidden": "true" }, make("span", { class: "bar", style: `width:${share(value)};background:${colour}` }));
  if (low !== null && high !== null) track.append(make("span", { class: "whisker", style: `left:${share(low)};width:${share(high - Math.max(0, low))}` }));
  return make("li", {}, make("span", { class: "name", text: say(name) }), track, make("span", { class: "number", text: say(text) }));
};

/** The ways from a finding to where it is seen. */
/** @param {FindingWays} ways */
export const waysOf = ({ view, lesson }) => make("p", { class: "ways" },
  make("a", { href: `#tab=compare&${view}`, text: say("See it") }), make("a", { href: lesson, text: say("The lesson") }),
  make("a", { href: "#tab=lab&fold=measurements", text: say("All measurements") }));

/** Draw the cards once they come near the screen: the first view does not wait for the laboratory's table. */
/** @param {HTMLElement} element @param {Pick<Handles<unknown, unknown, CardsServer>, "server">} handles */
export const cards = (element, { server }) => {
  const root = need(element, ".part");
  /** @param {FindingCard[]} found */
  const draw = (found) => root.replaceChildren(...(found.length ? [
    make("h2", { text: say("What the laboratory found") }),
    make("div", { class: "cards" }, ...found.map(({ name, sentence, bars, ...ways }) => {
      const most = Math.max(...bars.map(({ value, high }) => Math.max(value, high ?? value)), 1e-9);
      return make("article", {}, make("h3", { text: say(name) }), make("p", { text: say(sentence) }),
        make("ul", {}, ...bars.map((bar) => drawn(bar, most))), waysOf(ways));
    }))] : []));
  const ask = asking(server.cards, { deliver: (/** @type {string} */ text) => draw(JSON.parse(text)), failed: (why) => root.replaceChildren(make("p", { class: "hint", text: why })) });
  whenNear(element, () => ask(() => ({})));
};
