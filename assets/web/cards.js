// What the laboratory found: a card a finding, with its two numbers drawn and the ways to where it is seen.
/** @import { CardsOptions, FindingCard } from "./wire" */
import { make, need } from "./dom.js";
import { say } from "./words.js";

/** @param {FindingCard["bars"][number]} bar @param {number} most */
const drawn = ({ name, colour, value, low, high, text }, most) => {
  const share = (/** @type {number} */ number) => `${(100 * Math.max(0, number)) / most}%`;
  const track = make("span", { class: "track", "aria-hidden": "true" }, make("span", { class: "bar", style: `width:${share(value)};background:${colour}` }));
  if (low !== null && high !== null) track.append(make("span", { class: "whisker", style: `left:${share(low)};width:${share(high - Math.max(0, low))}` }));
  return make("li", {}, make("span", { class: "name", text: say(name) }), track, make("span", { class: "number", text: say(text) }));
};

/** Draw the cards. */
/** @param {HTMLElement} element @param {{options: CardsOptions}} handles */
export const cards = (element, { options }) => {
  need(element, ".part").replaceChildren(
    make("h2", { text: say("What the laboratory found") }),
    make("div", { class: "cards" }, ...options.map(({ name, sentence, bars, view, lesson }) => {
      const most = Math.max(...bars.map(({ value, high }) => Math.max(value, high ?? value)), 1e-9);
      return make("article", {}, make("h3", { text: say(name) }), make("p", { text: say(sentence) }),
        make("ul", {}, ...bars.map((bar) => drawn(bar, most))),
        make("p", { class: "ways" }, make("a", { href: `#tab=compare&${view}`, text: say("See it") }), make("a", { href: lesson, text: say("The lesson") }), make("a", { href: "#tab=lab", text: say("All measurements") })));
    })));
};
