// Fields for what makes a scene, from its declaration.
/** @import { Scene } from "./view" */
/** @import { SceneParameter } from "./wire" */
import { make } from "./dom.js";
import { say } from "./words.js";

/** Fields for what makes a scene, from its declaration; `get` gives the scene, `set(change)` changes it. */
/**
 * @param {SceneParameter[]} described @param {() => Required<Scene> | null} get @param {(change: Partial<Scene>) => void} set
 */
export const sceneFields = (described, get, set) => {
  const rows = described.map((one) => {
    const id = `scene-${one.name}`;
    const name = say(one.name);
    const label = make("label", { for: id, text: name });
    if (one.choices.length) {
      const select = make("select", { id, onchange: () => set({ [one.name]: select.value }) },
        ...one.choices.map((choice) => make("option", { value: choice, text: say(choice) })));
      return { one, show: (/** @type {string | number} */ value) => { select.value = String(value); }, element: make("div", { class: "field wide", title: say(one.text) }, label, select) };
    }
    // A field that is no choice has both ends: explorer/scenes/scene.py declares them.
    const [low, high] = [one.low ?? -Infinity, one.high ?? Infinity];
    const slider = one.whole ? null : make("input", { type: "range", id, min: one.low, max: one.high, step: one.step });
    const number = make("input", {
      type: "number", min: one.low, max: one.high, step: one.step, "aria-label": `${name}: ${say(one.text)}${one.unit ? `, ${say(one.unit)}` : ""}`,
    });
    const take = (/** @type {HTMLInputElement} */ input) => {
      const value = Number(input.value);
      if (input.value === "" || !(value >= low && value <= high) || (one.whole && !Number.isInteger(value))) return;
      set({ [one.name]: value });
    };
    number.addEventListener("input", () => take(number));
    number.addEventListener("change", () => { number.value = String(get()?.[one.name] ?? ""); });
    if (slider) slider.addEventListener("input", () => take(slider));
    const show = (/** @type {string | number} */ value) => {
      if (slider) slider.value = String(value);
      if (document.activeElement !== number || Number(number.value) !== value) number.value = String(value);
    };
    if (slider) return { one, show, element: make("div", { class: "field", title: say(one.text) }, label, slider, number, make("span", { class: "unit", text: one.unit === "degrees" ? "°" : one.unit === "x" ? "×" : "" })) };
    number.id = id;
    const other = make("button", { type: "button", class: "quiet", text: say("another"), onclick: () => set({ [one.name]: (Number(get()?.[one.name]) + 1) % (high + 1) }) });
    return { one, show, element: make("div", { class: "field other", title: say(one.text) }, label, number, other) };
  });
  const show = () => {
    const scene = get();
    if (!scene) return;
    const pair = / (above|left of) /.test(scene.label);
    for (const { one, show: put, element } of rows) {
      put(scene[one.name]);
      element.hidden = one.arrangements && !pair;
    }
  };
  return { elements: rows.map(({ element }) => element), show };
};
