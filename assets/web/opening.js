// The first view: drawn where nothing waits for gradio, and put into gradio's places when those are there.
/** @import { Opening } from "./modules" */
import { make } from "./dom.js";
import { say } from "./words.js";

/** Makes the section of a part, as explorer/ui/stage.py does. */
/** @param {Opening[keyof Opening]} part @param {string} id */
const section = ({ label }, id) => make("div", { id }, make("section", { class: "part", "aria-label": say(label) }));

/** Elements of the parts, by their names; `shown` where they are to be seen before gradio has made their places. */
/** @param {Opening} opening @param {boolean} shown @returns {{[Name in keyof Opening]: HTMLElement}} */
export const lay = (opening, shown) => {
  const [masthead, ways, models, controls, scene, samples, stage] = /** @type {const} */ ([
    "masthead", "ways", "models", "controls", "scene", "samples", "stage"]).map((name) => section(opening[name], name));
  const early = make("div", { id: "opening" }, masthead, make("div", { class: "tabs" }), make("div", { id: "workbench" },
    make("div", { id: "bench" }, scene, samples, make("div", { class: "own" }), controls),
    make("div", { id: "answers" }, stage)));
  if (shown) document.body.append(early);
  return { masthead, ways, models, controls, scene, samples, stage };
};

/** Put what is drawn into gradio's places. */
/** @param {{[name: string]: HTMLElement}} drawn @param {{[name: string]: HTMLElement}} places */
export const settle = (drawn, places) => {
  const focused = document.activeElement;
  for (const [name, element] of Object.entries(drawn)) places[name].querySelector(".part")?.replaceWith(...element.children);
  document.getElementById("opening")?.remove();
  // What is moved about loses the focus.
  if (focused instanceof HTMLElement && focused !== document.activeElement) focused.focus({ preventScroll: true });
};
