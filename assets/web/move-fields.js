// Fields for moving by numbers, made from the declaration of a move.
import { make } from "./dom.js";
import * as questions from "./question.js";
import { say } from "./words.js";

//: Which side of the frame, (height, width), a shift is a share of.
const ALONG = { dx: 1, dy: 0 };

const numeric = (move) => {
  const question = questions.get();
  const toSlider = move.log ? Math.log2 : (value) => value;
  const fromSlider = move.log ? (value) => Number((2 ** value).toFixed(2)) : (value) => value;
  const id = `move-${move.name}`;
  const label = say(move.label);
  const slider = make("input", { type: "range", id, step: move.log ? 0.01 : move.step, "aria-label": label });
  const number = make("input", {
    type: "number", step: "any", min: move.low, max: move.high, "aria-label": `${label}, ${say(move.unit || "factor")}`,
  });
  const limits = () => {
    const reach = move.share ? Math.round(move.share * questions.frame()[ALONG[move.name]]) : null;
    slider.min = toSlider(reach === null ? move.low : -reach);
    slider.max = toSlider(reach === null ? move.high : reach);
    if (move.share) slider.step = question.scene ? move.step / 8 : move.step;
  };
  const show = () => {
    limits();
    slider.value = toSlider(question[move.name]);
    if (document.activeElement !== number || Number(number.value) !== question[move.name]) number.value = question[move.name];
  };
  slider.addEventListener("input", () => questions.set({ [move.name]: fromSlider(Number(slider.value)) }));
  number.addEventListener("input", () => {
    const value = Number(number.value);
    if (number.value !== "" && value >= move.low && value <= move.high) questions.set({ [move.name]: value });
  });
  number.addEventListener("change", show);
  return { show, element: make("div", { class: "field", title: say(move.text) },
    make("label", { for: id, text: label }),
    slider, number, make("span", { class: "unit", text: move.unit === "degrees" ? "°" : move.unit || "×" })) };
};

const other = (move) => {
  const question = questions.get();
  const id = `move-${move.name}`;
  const labelled = (input) => make("div", { class: "field plain", title: say(move.text) }, make("label", { for: id, text: say(move.label) }), input);
  if (move.choices?.length) {
    const select = make("select", { id, onchange: () => questions.set({ [move.name]: select.value }) },
      ...move.choices.map((choice) => make("option", { value: choice, text: say(choice) })));
    return { show: () => { select.value = question[move.name]; }, element: labelled(select) };
  }
  const box = make("input", { type: "checkbox", id, onchange: () => questions.set({ [move.name]: box.checked }) });
  return { show: () => { box.checked = question[move.name]; }, element: labelled(box) };
};

/** A field for one part of a move: {show, element}. */
export const moveField = (move) => {
  const { show, element } = move.low != null ? numeric(move) : other(move);
  return { element, show: () => {
    show();
    element.hidden = Boolean(questions.get().scene && move.picture);
  } };
};
