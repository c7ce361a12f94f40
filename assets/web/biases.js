// The tabs of the biases: what to measure, how far it is, and clicks in figures that move what is under Compare.
/** @import { Handles, ProbeWanted } from "./modules" */
/** @import { EntryParameter, MeasuringState, ProbeOptions, WorkingOptions } from "./wire" */
import { hear, tell } from "./bus.js";
import { models } from "./chosen.js";
import { childrenOf, make, need, write } from "./dom.js";
import { there as thereOf } from "./figures.js";
import * as ways from "./ways.js";
import { msg, say } from "./words.js";

/** @typedef {(one: EntryParameter, id: string, change: (value: unknown) => void) => HTMLElement} Maker */

/** @type {Maker} */
const choiceOf = (one, id, change) => {
  const input = make("select", { id }, ...one.choices.map((choice, at) => make("option", { value: choice, text: say(one.called[at]), selected: choice === one.default })));
  input.addEventListener("change", () => change(input.value));
  return input;
};
/** @type {Maker} */
const tickOf = (one, id, change) => {
  const input = make("input", { id, type: "checkbox" });
  input.checked = Boolean(one.default);
  input.addEventListener("change", () => change(input.checked));
  return input;
};
/** @type {Maker} */
const entryOf = (one, id, change) => {
  const input = make("input", one.words
    ? { id, type: "text", value: one.default ?? "", maxlength: 200 }
    : { id, type: "number", min: one.low, max: one.high, step: one.whole ? 1 : "any", value: one.default ?? "", placeholder: say("own choice") });
  input.addEventListener("change", () => {
    if (input.value === "" || !input.checkValidity()) {
      input.value = String(one.default ?? "");
      change(undefined);
    } else change(one.words ? input.value : Number(input.value));
  });
  return input;
};

/** A control for one parameter of a probe; `change` gets its value, or undefined for the probe's own. */
/** @param {EntryParameter} one @param {string} id @param {(value: unknown) => void} change */
const control = (one, id, change) => {
  const label = one.name.replaceAll("_", " ");
  const input = one.choices.length ? choiceOf(one, id, change) : one.yes ? tickOf(one, id, change) : entryOf(one, id, change);
  const hint = one.low === null || one.low === undefined ? say(one.text) : say("{text}, {low} to {high}", { text: say(one.text), low: one.low, high: one.high });
  return make("div", { class: "field plain", title: say(one.text) },
    make("label", { for: id, text: say(label) }), input, make("span", { class: "unit", text: say(one.unit) }), make("p", { class: "hint", text: hint }));
};

/** @type {Record<string, 1 | -1 | undefined>} */
const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** Draw what can be measured of a bias. */
/** @param {HTMLElement} element @param {Pick<Handles<ProbeWanted, ProbeOptions>, "options" | "trigger" | "props">} handles */
export const probe = (element, { options, trigger, props }) => {
  const { bias, question, intro, probes } = options;
  let picked = false;
  // What was opened or measured last: of which models, by which probe.
  let last = "";
  const key = () => JSON.stringify([wanted.probe, models()]);
  /** @type {ProbeWanted} */
  const wanted = { probe: probes.length ? probes[0].name : "", parameters: {}, shown: "several" };
  const publish = () => { props.value = JSON.parse(JSON.stringify(wanted)); };
  // What would be measured, for whoever wants its code; where all biases are, no single probe is.
  if (bias !== "all") hear("code", (answer) => { if (element.offsetParent) answer(wanted); });
  const probe = () => probes.find(({ name }) => name === wanted.probe);
  const title = make("p", { class: "probe-question" });
  const about = make("div", {});
  const limits = make("p", { class: "probe-limits" });
  const parameters = make("div", { class: "probe-parameters" });
  const choice = make("div", { class: "probe-choice", role: "radiogroup", "aria-label": say("Probe") });
  const shown = make("select", { id: `shown-${bias}`, onchange: () => { wanted.shown = shown.value; publish(); } },
    make("option", { value: "several" }),
    make("option", { value: "stage", text: say("what is shown under Compare") }));
  hear(`brought-${bias}`, (set) => {
    shown.querySelector("[data-brought]")?.remove();
    shown.append(make("option", { value: set.shown, text: say(set.words), "data-brought": true }));
    wanted.shown = shown.value = set.shown;
    publish();
  });
  const looks = make("div", { class: "field plain" }, make("label", { for: `shown-${bias}`, text: say("measured on") }), shown);
  const folded = make("details", { class: "probe-more" }, make("summary", { text: say("Parameters") }), parameters);
  const source = make("details", { class: "probe-more" }, make("summary", { text: say("Formula and source") }), about);
  /** @type {Record<string, string>} */
  const linked = { shift: msg("Click in a figure to move the picture under Compare there."), zoom: msg("Click in a figure to rescale the picture under Compare."),
    layer: msg("Click a point to choose its layer under Compare.") };
  const link = make("p", { class: "hint" });
  const there = make("div", { class: "probe-row there", hidden: true });
  let shownThere = "";
  const gone = () => { shownThere = ""; there.hidden = true; };
  hear(`figure-${bias}`, (figure) => {
    const key = JSON.stringify(figure);
    if (key === shownThere || (!there.hidden && there.contains(document.activeElement))) return;
    shownThere = key;
    there.replaceChildren(...thereOf(`there-${bias}`, figure));
    there.hidden = false;
  });
  const measure = make("button", { type: "button", class: "main", text: probes.length ? say("Measure") : say("Measure all biases"), onclick: () => run(true) });
  const stop = make("button", { type: "button", class: "quiet", text: say("Stop"), hidden: true, onclick: () => { run(false); trigger("stop"); } });
  const run = (/** @type {boolean} */ on) => {
    measure.disabled = on;
    stop.hidden = !on;
    tell(`measuring-${bias}`, on);
    if (on) { gone(); publish(); last = key(); trigger("measure"); }
  };
  hear(`working-${bias}`, ({ share }) => {
    const on = share < 1;
    measure.disabled = on;
    stop.hidden = !on;
  });
  const show = () => {
    const one = probe();
    if (!one) return;
    for (const button of childrenOf(choice, HTMLButtonElement)) {
      button.setAttribute("aria-checked", String(button.dataset.name === one.name));
      button.tabIndex = button.dataset.name === one.name ? 0 : -1;
    }
    write(title, say(one.title));
    write(limits, say("What this does not show: {limits}", { limits: say(one.limits) }));
    write(link, say(linked[one.link] || ""));
    about.replaceChildren(make("p", { class: "formula", text: one.formula }), make("p", { translate: "no", text: one.source }));
    looks.hidden = !one.looks;
    write(need(shown, "[value=several]"), say(one.by_itself));
    folded.hidden = !one.parameters.length;
    parameters.replaceChildren(...one.parameters.map((each) => control(each, `${bias}-${one.name}-${each.name}`, (value) => {
      if (value === undefined) delete wanted.parameters[each.name];
      else wanted.parameters[each.name] = value;
      publish();
    })));
  };
  const choose = (/** @type {string} */ name) => { picked = true; wanted.probe = name; wanted.parameters = {}; show(); publish(); look(); };
  const led = (/** @type {string} */ name) => { if (name !== wanted.probe && probes.some((one) => one.name === name)) choose(name); };
  /** Ask for what there is without measuring, whenever this is seen with other models or another probe than before. */
  const look = () => {
    if (!element.offsetParent) return;
    ways.showsProbe(picked ? wanted.probe : "");
    if (!probes.length || measure.disabled) return;
    if (!picked) {
      const ships = models().some((one) => one.startsWith("lab/")) && probes.find(({ shipped }) => shipped);
      const opens = (ships || probes[0]).name;
      if (opens !== wanted.probe) { wanted.probe = opens; show(); }
    }
    if (key() === last) return;
    last = key();
    gone();
    publish();
    trigger("open");
  };
  choice.append(...probes.map(({ name }) => make("button", { type: "button", role: "radio", "data-name": name, text: say(name.replaceAll("-", " ")), onclick: () => choose(name) })));
  choice.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const names = probes.map(({ name }) => name);
    choose(names[(names.indexOf(wanted.probe) + step + names.length) % names.length]);
    need(choice, "[aria-checked=true]").focus();
  });
  need(element, ".part").replaceChildren(make("div", { class: "probe" },
    make("h2", { text: say(question) }), make("p", { class: "hint", text: say(intro) }),
    ...(probes.length ? [choice, title, make("div", { class: "probe-row" }, looks, measure, stop, folded, source), limits, link, there] : [make("div", { class: "probe-row" }, measure, stop)])));
  show();
  publish();
  led(ways.leadsTo());
  hear("probe", led);
  // Gradio shows and hides the tab: its size says when it is seen.
  new ResizeObserver(look).observe(element);
};

/** How far a measurement is, and what has to be said about it. */
/** @param {HTMLElement} element @param {Pick<Handles<unknown, WorkingOptions>, "options" | "props" | "watch">} handles */
export const working = (element, { options, props, watch }) => {
  const root = need(element, ".part");
  const { bias } = options;
  const bar = make("progress", { max: 1, value: 0, "aria-label": say("measurement under way") });
  const words = make("span", { role: "status" });
  const notes = make("ul", { class: "points" });
  const finding = make("p", { class: "finding", hidden: true });
  const legend = make("ul", { class: "legend-of-models", "aria-label": say("Models and their colours"), hidden: true });
  root.replaceChildren(finding, make("div", { class: "working" }, bar, words), notes, legend);
  let stopped = false;
  hear(`measuring-${bias}`, (on) => {
    stopped = !on;
    if (on) return;
    bar.hidden = true;
    root.hidden = false;
    write(words, say("Stopped. What was measured so far stays."));
  });
  const show = () => {
    const text = typeof props.value === "string" ? props.value : "";
    if (!stopped) root.hidden = !text;
    if (!text) return;
    /** @type {MeasuringState} */
    const { words: said, share, notes: told, finding: found, models: measured, asked: wanted } = JSON.parse(text);
    // What was stopped may still tell how far it had come.
    if (stopped && (share < 1 || !said)) return;
    bar.hidden = share >= 1;
    bar.value = share;
    write(words, say(said));
    write(finding, say(found));
    finding.hidden = !found;
    legend.hidden = !measured.length;
    legend.replaceChildren(...measured.map(({ name, spec, colour }) => make("li", { title: spec }, make("span", { class: "mark", style: `background:${colour}`, "aria-hidden": "true" }), say(name))));
    notes.replaceChildren(...told.map((one) => make("li", { text: say(one) })));
    tell(`working-${bias}`, { share });
    tell(`measured-${bias}`, share >= 1 ? wanted : null);
  };
  show();
  watch("value", show);
};
