// A strip of scenes and one of photographs; the one that is shown is marked.
/** @import { Asked } from "./modules" */
/** @import { SamplesOptions } from "./wire" */
import { hear } from "./bus.js";
import { make, need } from "./dom.js";
import * as questions from "./question.js";
import { sameScene } from "./question.js";
import { say } from "./words.js";

/** Draw both strips. */
/** @param {HTMLElement} element @param {{options: SamplesOptions}} handles */
export const samples = (element, { options: { scenes, photographs } }) => {
  /** @type {((question: Asked) => void)[]} */
  const marks = [];
  /**
   * @param {string} what @param {{alt: string, image: string}} sample @param {() => void} chosen
   * @param {(question: Asked) => boolean} shown
   */
  const tile = (what, { alt, image }, chosen, shown) => {
    const name = say(alt);
    const button = make("button", { type: "button", class: "sample", title: name, "aria-label": `${what}: ${name}`, onclick: chosen },
      make("img", { src: image, alt: "", width: 56, height: 56 }));
    marks.push((question) => button.setAttribute("aria-pressed", String(shown(question))));
    return button;
  };
  need(element, ".part").replaceChildren(
    make("h3", { text: say("Scenes") }),
    make("div", { class: "strip" }, ...scenes.map((one) => tile(say("Scene"), one, () => questions.set({ scene: one.scene }),
      ({ scene }) => sameScene(scene, one.scene)))),
    make("h3", { text: say("Photographs") }),
    make("div", { class: "strip" }, ...photographs.map((one) => tile(say("Photograph"), one, () => questions.set({ scene: null, picture: one.name }),
      ({ scene, picture }) => !scene && picture === one.name))));
  /** @param {Asked} question */
  const show = (question) => { for (const mark of marks) mark(question); };
  hear("source", show);
  show(questions.get());
};
