// Where attention is asked from: the pins as chips, what they stay on, and the present one in pixels.
/** @import { Place } from "./view" */
import { tell } from "./bus.js";
import { make } from "./dom.js";
import { pinColour } from "./panel.js";
import { addPin, choosePin, takeOut } from "./pins.js";
import * as questions from "./question.js";
import { now } from "./shown.js";
import { msg, say } from "./words.js";

/** @param {keyof Place} axis @param {0 | 1} index */
const number = (axis, index) => {
  const id = `query-${axis}`;
  const input = make("input", { type: "number", id, min: 0, step: 1, "aria-label": say("Pin, {axis}, px", { axis }) });
  const size = () => questions.frame()[index];
  input.addEventListener("input", () => {
    const value = Number(input.value) + 0.5;
    if (input.value === "" || value < 0 || value >= size()) return;
    tell("ask", { ...questions.get().pins[now.pin], [axis]: value / size() });
  });
  return {
    elements: [make("label", { for: id, text: axis }), input, make("span", { class: "unit", text: "px" })],
    show: () => {
      input.max = String(size() - 1);
      if (document.activeElement !== input) input.value = String(Math.floor(questions.get().pins[now.pin][axis] * size()));
    },
  };
};

const chips = () => {
  const element = make("span", { class: "chips", role: "group", "aria-label": say("Pins") });
  let shown = "";
  const show = () => {
    const { pins } = questions.get();
    const wanted = `${pins.length} ${now.pin}`;
    if (wanted === shown) return;
    shown = wanted;
    element.replaceChildren(...pins.map((_, at) => {
      const chip = make("button", { type: "button", class: "chip", text: at + 1, "aria-pressed": String(at === now.pin), "aria-label": say("Pin {number}", { number: at + 1 }), onclick: () => choosePin(at) });
      chip.style.setProperty("--pin", pinColour(at));
      return chip;
    }),
    pins.length < questions.MOST_PINS ? make("button", { type: "button", class: "quiet more", text: "+", "aria-label": say("Add a pin"), title: say("Add a pin; shift and a click adds one there"), onclick: () => addPin() }) : "",
    pins.length > 1 ? make("button", { type: "button", class: "quiet more", text: "−", "aria-label": say("Take pin {number} out", { number: now.pin + 1 }), onclick: takeOut }) : "");
  };
  return { element, show };
};

/** The fields of the pins: {show, element}; `fold(title, ...content)` makes what can be folded away. */
/** @param {(title: string, ...content: Node[]) => HTMLElement} fold */
export const pinFields = (fold) => {
  const all = chips();
  const stays = { image: say("what it is on"), place: say("its place") };
  const staying = /** @type {["image" | "place", string][]} */ (Object.entries(stays)).map(([value, text]) => make("button", {
    type: "button", text, "data-value": value, title: value === "image" ? say("The pin moves with the object or the picture.") : say("The pin stays where it is in the frame."),
    onclick: () => { questions.set({ pin: value }); tell("pins"); },
  }));
  const [x, y] = [number("x", 1), number("y", 0)];
  const element = make("fieldset", { class: "asking" },
    make("legend", { text: say("Ask from") }), all.element,
    make("div", { class: "choice", role: "group", "aria-label": say("The pin stays on") }, make("span", { text: say("stays on") }), ...staying),
    fold(msg("By numbers"), make("div", { class: "field pair", title: say("the place whose attention is shown, in pixels of the first model's input, before the move") },
      ...x.elements, ...y.elements)));
  return { element, show: () => {
    all.show();
    for (const one of staying) one.setAttribute("aria-pressed", String(one.dataset.value === questions.get().pin));
    x.show();
    y.show();
  } };
};
