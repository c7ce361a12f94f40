// A field for a model's name, with a list of those that fit what is typed.
import { make } from "./dom.js";
import { say } from "./words.js";

/** @typedef {{search: (typed: string) => string[], commit: (text: string) => void, current: () => string}} Field */

/**
 * Make the field: {element, input, show(text)}.
 *   search(typed): names to offer.  commit(text): takes what was chosen or typed.  current(): the text in force.
 */
/** @param {number} index @param {Field} field */
export const combobox = (index, { search, commit, current }) => {
  const id = `model-${index}`;
  const input = make("input", {
    type: "text", id, class: "name", role: "combobox", autocomplete: "off", spellcheck: "false", maxlength: 300,
    "aria-label": say("Model {number}", { number: index + 1 }), "aria-expanded": "false", "aria-controls": `${id}-list`, "aria-autocomplete": "list",
    placeholder: say("any timm name"),
  });
  const list = make("ul", { id: `${id}-list`, class: "list", role: "listbox", hidden: true });
  let active = -1;

  const close = () => {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  /** @param {string} typed */
  const take = (typed) => {
    close();
    const text = typed.trim();
    input.value = text || current();
    if (text && text !== current()) commit(text);
  };
  /** @param {string} text */
  const open = (text) => {
    list.replaceChildren(...search(text).map((name, number) => make("li", {
      id: `${id}-option-${number}`, role: "option", "aria-selected": "false", text: name,
      // pointerdown would blur the field first, and a blur commits what was typed
      onpointerdown: (event) => event.preventDefault(),
      onclick: () => { take(name); input.blur(); },
    })));
    list.hidden = !list.children.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    active = -1;
  };
  /** @param {number} step */
  const point = (step) => {
    const options = list.children;
    if (list.hidden || !options.length) { open(input.value); return; }
    if (active >= 0) options[active].setAttribute("aria-selected", "false");
    active = (active + step + options.length + (active < 0 && step < 0 ? 1 : 0)) % options.length;
    options[active].setAttribute("aria-selected", "true");
    options[active].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", options[active].id);
  };
  input.addEventListener("focus", () => { input.select(); open(""); });
  input.addEventListener("input", () => open(input.value));
  input.addEventListener("blur", () => take(input.value));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); point(event.key === "ArrowDown" ? 1 : -1); }
    else if (event.key === "Enter") { event.preventDefault(); take(active >= 0 ? list.children[active].textContent || "" : input.value); }
    else if (event.key === "Escape") { input.value = current(); close(); }
  });
  /** @param {string} text */
  const show = (text) => {
    // What is being typed stays.
    if (document.activeElement !== input || input.value === input.title) input.value = text;
    input.title = text;
  };
  return { element: make("div", { class: "combo" }, input, list), input, show };
};
