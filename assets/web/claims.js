// What is said of the blocks, put where the measurements put it: supported, contradicted or undecided.
/** @import { Handles } from "./modules" */
/** @import { ClaimsBoard } from "./wire" */
import { make } from "./dom.js";
import { folding } from "./folds.js";
import { valued } from "./valued.js";
import { arrived } from "./ways.js";
import { say } from "./words.js";

/** @param {ClaimsBoard["groups"][number]["claims"][number]} claim */
const drawn = ({ sentence, what, effect, tests }) => make("details", {},
  make("summary", {}, make("span", { class: "said", text: say(sentence) }), make("span", { class: "decides" }, make("span", { class: "effect", text: say(effect) }), " ", say(what))),
  make("ul", {}, ...tests.map((text) => make("li", { text: say(text) }))));

/** Draw the claims, and draw them anew when their value changes. */
/** @param {HTMLElement} element @param {Pick<Handles, "props" | "watch">} handles */
export const claims = (element, handles) => {
  valued(element, handles, (root, /** @type {ClaimsBoard} */ { title, groups, note }) => {
    root.replaceChildren(make("h3", { text: say(title) }),
      make("div", { class: "board" }, ...groups.map(({ verdict, colour, claims: own }) => make("section", { style: `--verdict:${colour}` },
        folding("judged", make("h4", {}, make("span", { class: "mark", style: `background:${colour}` }), `${say(verdict)} (${own.length})`), ...own.map(drawn))))),
      folding("guide", say("How they are judged"), make("p", { class: "hint", text: say(note) })));
    arrived();
  });
};
