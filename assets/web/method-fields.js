// Which attribution, with its parameters; a costly one is computed when it is asked for, and can be stopped.
/** @import { Trigger } from "./modules" */
/** @import { AskedOf, EntryParameter, Method } from "./wire" */
import { hear } from "./bus.js";
import * as chosen from "./chosen.js";
import { make, write } from "./dom.js";
import * as questions from "./question.js";
import { say } from "./words.js";

/** @param {EntryParameter} one */
const parameterField = (one) => {
  const { parameters } = questions.get();
  const id = `parameter-${one.name}`;
  const current = parameters[one.name] ?? one.default;
  const input = one.choices.length
    ? make("select", { id }, ...one.choices.map((choice, at) => make("option", { value: choice, text: say(one.called[at]), selected: choice === current })))
    : make("input", { id, type: "number", min: one.low, max: one.high, step: one.whole ? 1 : "any", value: current, placeholder: say("own choice") });
  input.addEventListener("change", () => {
    const own = { ...questions.get().parameters };
    if (input.value === "" || !input.checkValidity()) {
      delete own[one.name];
      if (input.value !== "") input.value = String(current ?? "");
    } else own[one.name] = one.choices.length ? input.value : Number(input.value);
    questions.set({ parameters: own });
  });
  return make("div", { class: "field plain", title: say(one.text) },
    make("label", { for: id, text: say(one.name.replaceAll("_", " ")) }), input, make("span", { class: "unit", text: say(one.unit) }));
};

let begin = () => {};
/** Compute the costly attribution that is chosen. */
export const compute = () => begin();

/** The button of a costly method, and how far it is; hears "progress" {share, of}. */
/** @param {Trigger} trigger */
const computing = (trigger) => {
  const button = make("button", { type: "button", class: "main", text: say("Compute"), onclick: () => begin() });
  const bar = make("progress", { max: 1, value: 0, "aria-label": say("attribution under way") });
  const stop = make("button", { type: "button", class: "quiet", text: say("Cancel"), onclick: () => { run(false); trigger("cancel"); } });
  const running = make("div", { class: "running", hidden: true }, bar, stop);
  /** @type {AskedOf | null} */
  let of = null; // what the attribution that is under way was asked for
  const run = (/** @type {boolean} */ on) => {
    running.hidden = !on;
    button.hidden = on;
    bar.value = 0;
    of = null;
  };
  const isOf = (/** @type {AskedOf} */ asked) => questions.isAnsweredBy(asked) && JSON.stringify(asked.models) === JSON.stringify(chosen.models());
  begin = () => { run(true); trigger("compute"); };
  hear("progress", ({ share, of: asked }) => {
    if (running.hidden || (asked && !isOf(asked))) return;
    of = asked || null;
    bar.value = share;
    if (share >= 1) run(false);
  });
  // What is computed for another question is not worth its time.
  hear("asked", () => {
    if (running.hidden || !of || isOf(of)) return;
    run(false);
    trigger("cancel");
  });
  return make("div", { class: "costly" }, button, running);
};

/** The fields of the attribution: {show, element}. */
/** @param {Method[]} methods @param {Trigger} trigger */
export const methodFields = (methods, trigger) => {
  const title = make("p", { class: "hint" });
  const summary = make("summary", { text: say("Parameters") });
  const parameters = make("details", {}, summary);
  const costly = computing(trigger);
  const select = make("select", { id: "method", "aria-label": say("Attribution method"), onchange: () => questions.set({ method: select.value, parameters: {} }) },
    ...methods.map(({ name, called, live }) => make("option", { value: name, text: live ? say(called) : say("{method} (on demand)", { method: say(called) }) })));
  let shown = "";
  const show = () => {
    const question = questions.get();
    const wanted = JSON.stringify([question.method, question.parameters]);
    if (wanted === shown || parameters.contains(document.activeElement)) return;
    shown = wanted;
    const method = methods.find(({ name }) => name === question.method);
    if (!method) return;
    select.value = method.name;
    write(title, say(method.title));
    costly.hidden = method.live;
    parameters.hidden = method.parameters.length === 0;
    parameters.replaceChildren(summary, ...method.parameters.map(parameterField));
  };
  return { show, element: make("fieldset", {}, make("legend", { text: say("Attribution") }), select, title, parameters, costly) };
};
