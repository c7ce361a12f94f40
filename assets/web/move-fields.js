// Fields for moving by numbers, made from the declaration of a move.
/** @import { Numeric } from "./modules" */
/** @import { MoveParameter } from "./wire" */
import { make } from "./dom.js";
import * as questions from "./question.js";
import { say } from "./words.js";

//: Which side of the frame, (height, width), a shift is a share of.
/** @type {Record<string, 0 | 1>} */
const ALONG = { dx: 1, dy: 0 };

/** @param {MoveParameter} move @param {number} low @param {number} high */
const numeric = (move, low, high) => {
  const question = questions.get();
  const name = /** @type {Numeric} */ (move.name);
  const step = move.step ?? 1;
  const toSlider = (/** @type {number} */ value) => (move.log ? Math.log2(value) : value);
  const fromSlider = (/** @type {number} */ value) => (move.log ? Number((2 ** value).toFixed(2)) : value);
  const id = `move-${move.name}`;
  const label = say(move.label);
  const slider = make("input", { type: "range", id, step: move.log ? 0.01 : step, "aria-label": label });
  const number = make("input", {
    type: "number", step: "any", min: low, max: high, "aria-label": `${label}, ${say(move.unit || "factor")}`,
  });
  const limits = () => {
    const reach = move.share ? Math.round(move.share * questions.frame()[ALONG[name]]) : null;
    slider.min = String(toSlider(reach === null ? low : -reach));
    slider.max = String(toSlider(reach === null ? high : reach));
    if (move.share) slider.step = String(question.scene ? step / 8 : step);
  };
  const show = () => {
    limits();
    slider.value = String(toSlider(question[name]));
    if (document.activeElement !== number || Number(number.value) !== question[name]) number.value = String(question[name]);
  };
  slider.addEventListener("input", () => questions.set({ [name]: fromSlider(Number(slider.value)) }));
  number.addEventListener("input", () => {
    const value = Number(number.value);
    if (number.value !== "" && value >= low && value <= high) questions.set({ [name]: value });
  });
  number.addEventListener("change", show);
  return { show, element: make("div", { class: "field", title: say(move.text) },
    make("label", { for: id, text: label }),
    slider, number, make("span", { class: "unit", text: move.unit === "degrees" ? "°" : move.unit || "×" })) };
};

/** @param {MoveParameter} move */
const other = (move) => {
  const question = questions.get();
  const id = `move-${move.name}`;
  const labelled = (/** @type {HTMLElement} */ input) => make("div", { class: "field plain", title: say(move.text) }, make("label", { for: id, text: say(move.label) }), input);
  if (move.choices?.length) {
    const select = make("select", { id, onchange: () => questions.set({ [move.name]: select.value }) },
      ...move.choices.map((choice) => make("option", { value: choice, text: say(choice) })));
    return { show: () => { select.value = String(question[move.name]); }, element: labelled(select) };
  }
  const box = make("input", { type: "checkbox", id, onchange: () => questions.set({ [move.name]: box.checked }) });
  return { show: () => { box.checked = Boolean(question[move.name]); }, element: labelled(box) };
};

/** A field for one part of a move: {show, element}. */
/** @param {MoveParameter} move */
export const moveField = (move) => {
  const { show, element } = move.low !== null && move.high !== null ? numeric(move, move.low, move.high) : other(move);
  return { element, show: () => {
    show();
    element.hidden = Boolean(questions.get().scene && move.picture);
  } };
};
