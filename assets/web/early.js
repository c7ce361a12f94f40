// The first view is painted before gradio is there: its parts are drawn at once from what the page came with, and moved
// into gradio's own places when these exist. Until then what they ask for waits.
"use strict";
(() => {
  const { explorer } = window;
  const { make } = explorer;
  const I18N = "__i18n__";
  const PARTS = ["masthead", "scene", "samples", "controls", "models", "stage"];

  let focused = null; // what loses the focus by being moved
  const early = new Map(); // elem_id -> {section, bind}
  const drawn = [];

  /** What stands for gradio's handles until they are there: {trigger, props, watch}, and `bind` which connects them. */
  const handles = ({ value, options }) => {
    let real = null;
    let ready = false;
    let held = value;
    const waiting = []; // events that could not be told yet
    const watchers = [];
    const props = { options };
    Object.defineProperty(props, "value", {
      get: () => (ready ? real.props.value : held),
      set: (next) => { if (ready) real.props.value = next; else held = next; },
    });
    return {
      handles: {
        props,
        trigger: (name, data) => { if (ready) real.trigger(name, data); else waiting.push([name, data]); },
        watch: (name, listener) => { if (real) real.watch(name, listener); else watchers.push([name, listener]); },
      },
      bind: (given) => {
        real = given;
        for (const [name, listener] of watchers) real.watch(name, listener);
      },
      /** Give gradio the value that was set before it was there. */
      settle: () => {
        if (real.props.value !== held) real.props.value = held;
        ready = true;
      },
      /** Tell gradio what happened before it was there; of several events of a kind the last says all. */
      tell: () => { for (const [name, data] of new Map(waiting)) real.trigger(name, data); },
    };
  };

  /** Draw a part of the page, or take over what was drawn of it early. */
  explorer.mount = (draw, id, given) => {
    const found = early.get(id);
    if (!found) { explorer[draw](given); return; }
    early.delete(id);
    if (found.section.contains(document.activeElement)) focused = document.activeElement;
    given.element.querySelector(".part").replaceWith(found.section);
    found.bind(given);
    if (early.size) return;
    document.getElementById("early").remove();
    document.documentElement.classList.remove("early");
    if (focused) focused.focus({ preventScroll: true });
    // Gradio hears its parts only once all of them are there.
    requestAnimationFrame(() => requestAnimationFrame(() => {
      for (const { settle } of drawn) settle();
      for (const { tell } of drawn) tell();
    }));
  };

  const start = () => {
    const { components } = window.gradio_config;
    const described = (id) => components.find(({ props }) => props.elem_id === id);
    if (!PARTS.every(described)) return;
    const place = (id) => make("div", { class: "place", "data-for": id });
    const tabs = components.filter(({ type, props }) => type === "tabitem" && explorer.tabNames.includes(props.id));
    // As gradio will choose it.
    const theme = new URLSearchParams(location.search).get("__theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    const asked = (/[#&]tab=(\w+)/.exec(location.hash) || [])[1];
    const open = explorer.tabNames.includes(asked) ? asked : "compare";
    const root = make("div", { id: "early", "data-tab": open, class: theme === "dark" ? "dark" : "" }, place("masthead"),
      make("div", { class: "early-tabs", "aria-hidden": "true" }, ...tabs.map(({ props }) => make("span", { class: props.id === open ? "open" : "", text: explorer.say(label(props.label)) }))),
      make("div", { class: "early-bench" },
        make("div", { class: "early-left" }, place("scene"), place("samples"), make("div", { class: "early-picture" }), place("controls")),
        make("div", { class: "early-right" }, place("stage"), place("models"))));
    document.body.prepend(root);
    document.documentElement.classList.add("early");
    for (const id of PARTS) {
      const { props } = described(id);
      const section = make("section", { class: "part", "aria-label": /aria-label="([^"]*)"/.exec(props.html_template)[1] });
      explorer.sayWithin(section);
      const holder = root.querySelector(`[data-for=${id}]`);
      holder.id = id;
      holder.append(section);
      const part = { section, ...handles({ value: props.value, options: props.props.options }) };
      early.set(id, part);
      drawn.push(part);
      explorer[id]({ element: holder, events: [], ...part.handles });
    }
  };
  /** A label is a text, or what gradio's I18n makes of one. */
  const label = (text) => (text.startsWith(I18N) ? JSON.parse(text.slice(I18N.length)).key : text);

  if (document.body) start();
  else new MutationObserver((_, observer) => { if (document.body) { observer.disconnect(); start(); } }).observe(document.documentElement, { childList: true });
})();
