// What a probe shows the models, as a strip of pictures with what each model answers to them.
/** @import { Handles } from "./modules" */
/** @import { ExamplesOptions, ExamplesServer, ShownExamples } from "./wire" */
import { hear } from "./bus.js";
import * as chosen from "./chosen.js";
import { make, need } from "./dom.js";
import { asking } from "./live.js";
import * as questions from "./question.js";
import { say, sayClass } from "./words.js";

/** @param {ShownExamples["models"][number]} model @param {number} at */
const answer = ({ name, colour, answers }, at) => {
  const { label, p } = answers[at];
  return make("li", { title: say(name) },
    make("span", { class: "mark", style: `background:${colour}`, "aria-hidden": "true" }), make("span", { class: "spoken", text: `${say(name)}: ` }),
    make("span", { class: "class", text: sayClass(label) }), make("span", { class: "soft", text: `${Math.round(100 * p)} %` }));
};

/** Draw the strip once something is measured: it belongs to what is shown below it. */
/** @param {HTMLElement} element @param {Pick<Handles<unknown, ExamplesOptions, ExamplesServer>, "options" | "server">} handles */
export const examples = (element, { options: { bias }, server }) => {
  const root = need(element, ".part");
  root.hidden = true;
  let of = "";
  const ask = asking(server.examples, {
    deliver: (/** @type {string} */ text) => {
      /** @type {ShownExamples} */
      const { pictures, models } = JSON.parse(text);
      root.hidden = !pictures.length || !models.length;
      root.replaceChildren(make("h3", { text: say("What the models are shown, and what they answer") }),
        make("div", { class: "examples", tabindex: 0, role: "group", "aria-label": say("Pictures with answers") }, ...pictures.map(({ name, image }, at) => make("figure", {},
          make("img", { src: image, alt: "" }), make("figcaption", { text: say(name) }),
          make("ul", {}, ...models.filter(({ answers }) => answers[at]).map((model) => answer(model, at)))))));
    },
    // What is wrong is said above, or beside the answers.
    failed: () => { root.hidden = true; },
  });
  hear(`measured-${bias}`, (asked) => {
    const key = asked ? JSON.stringify([asked, chosen.models()]) : "";
    if (key === of) return;
    of = key;
    root.hidden = true;
    if (asked) ask(() => ({ models: [...chosen.models()], question: questions.copy(), asked }));
  });
};
