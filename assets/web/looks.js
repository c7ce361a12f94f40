// How maps are looked at: the toolbar over the answers, and the part of the state that keeps it.
/** @import { Look } from "./modules" */
import { tell } from "./bus.js";
import * as chosen from "./chosen.js";
import { make, write } from "./dom.js";
import { LOOK, now } from "./shown.js";
import * as state from "./state.js";
import { VIEWS } from "./views.js";
import { msg, say } from "./words.js";

/** Change how things are looked at; nothing is asked for that. */
/** @param {Partial<Look>} change */
const look = (change) => {
  Object.assign(now.look, change);
  tell("look");
  tell("looked");
  state.did();
};

/** @typedef {{show: () => void, element: HTMLElement}} Control */
/** @typedef {{[Name in keyof Look]: Look[Name] extends string ? Name : never}[keyof Look]} Chosen names of texts */
/** @typedef {{[Name in keyof Look]: Look[Name] extends boolean ? Name : never}[keyof Look]} Ticked names of what is or is not */
/** @typedef {"opacity" | "threshold"} Shares */

/** Buttons of which one is pressed: {value: text}. */
/**
 * @param {string} label @param {Record<string, string>} values @param {() => string} get
 * @param {(value: string) => void} set @param {Record<string, string>} titles
 * @returns {Control}
 */
const choice = (label, values, get, set, titles = {}) => {
  const buttons = Object.entries(values).map(([value, title]) => make("button", {
    type: "button", text: say(title), "data-value": value, title: titles[value] ? say(titles[value]) : null,
    onclick: () => { set(value); show(); },
  }));
  const show = () => { for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.value === get())); };
  return { show, element: make("div", { class: "choice", role: "group", "aria-label": say(label) }, make("span", { text: say(label) }), ...buttons) };
};
/** @param {string} label @param {Chosen} name @param {Record<string, string>} values @param {Record<string, string>} titles */
const chooser = (label, name, values, titles) => choice(label, values, () => now.look[name], (value) => look({ [name]: value }), titles);

/** @param {string} label @param {Ticked} name @param {string} title @returns {Control} */
const check = (label, name, title) => {
  const box = make("input", { type: "checkbox", onchange: () => look({ [name]: box.checked }) });
  return { show: () => { box.checked = now.look[name]; }, element: make("label", { class: "check", title: say(title) }, box, say(label)) };
};

/** @param {string} label @param {Shares} name @param {string} title @returns {Control} */
const share = (label, name, title) => {
  const input = make("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": say(title), oninput: () => look({ [name]: Number(input.value) }) });
  const output = make("output");
  return {
    show: () => { input.value = String(now.look[name]); write(output, `${Math.round(100 * now.look[name])} %`); },
    element: make("label", { class: "share", title: say(title) }, make("span", { text: say(label) }), input, output),
  };
};

/** @param {string[]} palettes @returns {Control} */
const colourMap = (palettes) => {
  const select = make("select", { "aria-label": say("Colour map"), onchange: () => look({ map: select.value }) },
    ...palettes.filter((name) => name !== "diverging").map((name) => make("option", { value: name, text: say(name) })));
  return { show: () => { select.value = now.look.map; }, element: make("label", { class: "share" }, make("span", { text: say("Colours") }), select) };
};

//: Places of models, as people count.
const PLACES = ["1", "2", "3", "4", "5", "6"];
/** Which of the models are A and B. */
/** @param {"first" | "second"} name @param {string} label @returns {Control} */
const whose = (name, label) => {
  const select = make("select", { "aria-label": say(label), onchange: () => look({ [name]: select.value }) });
  return {
    element: make("label", { class: "share" }, make("span", { text: name === "first" ? "A" : "B" }), select),
    show: () => {
      const models = chosen.models();
      if (select.dataset.models !== models.join()) {
        select.dataset.models = models.join();
        select.replaceChildren(...models.map((model, at) => make("option", { value: PLACES[at], text: model })));
      }
      select.value = now.look[name];
      if (select.parentElement) select.parentElement.hidden = now.look.show !== "minus";
    },
  };
};

/** @param {string[]} palettes */
const keepLook = (palettes) => {
  /** @type {Record<string, string[]>} */
  const allowed = { view: Object.keys(VIEWS), map: palettes, scale: ["kind", "all", "own"], steps: ["linear", "percentile"], layout: ["", "side", "below"],
    show: ["each", "minus"], first: PLACES, second: PLACES };
  const usual = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (LOOK));
  const changed = () => Object.fromEntries(Object.entries(now.look).filter(([name, value]) => value !== usual[name]));
  state.keep("look", changed, (change) => {
    const problems = [];
    /** @type {Record<string, unknown>} */
    const good = {};
    for (const [name, one] of Object.entries({ ...usual, .../** @type {object} */ (change) })) {
      const fits = name in LOOK && typeof one === typeof usual[name] && (!allowed[name] || (typeof one === "string" && allowed[name].includes(one)))
        && (typeof one !== "number" || (one >= 0 && one <= 1));
      if (fits) good[name] = one;
      else problems.push(say("Maps cannot be drawn with {name} “{value}”.", { name, value: String(one) }));
    }
    look(good);
    return problems.join(" ");
  });
};

/** The toolbar: {element, show(token), legend(moved, signed)}, `token` whether any map has a class token. isSide() says how rows stand now. */
/** @param {string[]} palettes @param {() => boolean} isSide */
export const toolbar = (palettes, isSide) => {
  const view = chooser(msg("View"), "view", VIEWS, {
    pulled: msg("the moved picture and its maps, brought back to where things were before the move"),
    difference: msg("pulled back minus before: zero everywhere for a map that moves with the picture"),
  });
  const lay = choice(msg("Models"), { side: msg("side by side"), below: msg("in rows") }, () => (isSide() ? "side" : "below"), (value) => look({ layout: value }));
  lay.element.classList.add("lay");
  const token = check(msg("class token asks"), "token", msg("show what the class token attends to, in models that have one"));
  token.element.classList.add("token");
  const drawn = [
    chooser(msg("Show"), "show", { each: msg("each model"), minus: msg("A minus B") }, {
      minus: msg("the maps of two models, each as shares of its own weight, subtracted"),
    }),
    whose("first", msg("The model A")), whose("second", msg("The model B")),
    check(msg("over the picture"), "overlay", msg("lay the maps over the picture in grey")),
    share(msg("Opacity"), "opacity", msg("Opacity of the maps over the picture")),
    share(msg("Threshold"), "threshold", msg("Leave out what stays below this share of the scale")),
    colourMap(palettes),
    chooser(msg("Colour scale"), "steps", { linear: msg("by value"), percentile: msg("percentile") }, {
      percentile: msg("colours by the rank of a value within its map: small differences among many cells show; pointing tells the value"),
    }),
    chooser(msg("Shared scale"), "scale", { kind: msg("one for attention of a kind"), all: msg("one for all of a kind"), own: msg("each its own") }, {
      kind: msg("Maps of one kind and unit share a scale. Grad-CAM has one a model: activations of different networks have no unit in common."),
    }),
    check(msg("smooth"), "smooth", msg("blend neighbouring cells; the cells are what was computed")),
    check(msg("Hide sinks"), "sinkless", msg("hatch the cells that take weight whatever asks, and scale the rest without them")),
    token, lay,
  ];
  keepLook(palettes);
  const before = make("span", {}, make("span", { class: "swatch thin" }), say("before"));
  const colours = make("span", {}, make("span", { class: "swatch for" }), say("for the answer"), make("span", { class: "swatch against" }), say("against it"));
  return {
    /** Tell of the marks of what was before, and of the colours of attributions, where there are any. */
    legend: (/** @type {boolean} */ moved, /** @type {boolean} */ signed) => { before.hidden = !moved; colours.hidden = !signed; },
    element: make("div", { class: "toolbar" },
      make("div", { class: "views", role: "toolbar", "aria-label": say("What is shown of the move") }, view.element),
      make("p", { class: "legend" }, before, colours),
      make("details", { class: "looks" }, make("summary", { text: say("How maps are drawn") }), make("div", { class: "looking" }, ...drawn.map((one) => one.element)))),
    show: (/** @type {boolean} */ hasToken) => {
      for (const one of [view, ...drawn]) one.show();
      token.element.hidden = !hasToken;
    },
  };
};
