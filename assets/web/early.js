// The first view is painted before gradio is there: its parts are drawn at once from what the page came with, and moved
// into gradio's own places when these exist. Until then what they ask for waits.
"use strict";
(() => {
  const { explorer } = window;
  const { make } = explorer;
  const I18N = "__i18n__";
  const PARTS = ["masthead", "scene", "samples", "controls", "models", "stage"];

  const early = new Map(); // elem_id -> {section, bind}

  /** What stands for gradio's handles until they are there: {trigger, props, watch}, and `bind` which connects them. */
  const handles = ({ value, options }) => {
    let real = null;
    let held = value;
    const waiting = []; // events that could not be told yet
    const watchers = [];
    const props = { options };
    Object.defineProperty(props, "value", {
      get: () => (real ? real.props.value : held),
      set: (next) => { if (real) real.props.value = next; else held = next; },
    });
    return {
      handles: {
        props,
        trigger: (name, data) => { if (real) real.trigger(name, data); else waiting.push([name, data]); },
        watch: (name, listener) => { if (real) real.watch(name, listener); else watchers.push([name, listener]); },
      },
      bind: (given) => {
        real = given;
        if (real.props.value !== held) real.props.value = held;
        for (const [name, listener] of watchers) real.watch(name, listener);
        // Of several events of a kind the last says all.
        for (const [name, data] of new Map(waiting)) real.trigger(name, data);
      },
    };
  };

  /** Draw a part of the page, or take over what was drawn of it early. */
  explorer.mount = (draw, id, given) => {
    const found = early.get(id);
    if (!found) { explorer[draw](given); return; }
    early.delete(id);
    given.element.querySelector(".part").replaceWith(found.section);
    found.bind(given);
    if (!early.size) document.getElementById("early").remove();
    document.documentElement.classList.toggle("early", early.size > 0);
  };

  const start = () => {
    const { components } = window.gradio_config;
    const described = (id) => components.find(({ props }) => props.elem_id === id);
    if (!PARTS.every(described)) return;
    const place = (id) => make("div", { class: "place", "data-for": id });
    const tabs = components.filter(({ type, props }) => type === "tabitem" && explorer.tabNames.includes(props.id));
    const root = make("div", { id: "early" }, place("masthead"),
      make("div", { class: "early-tabs", "aria-hidden": "true" }, ...tabs.map(({ props }, at) => make("span", { class: at ? "" : "open", text: explorer.say(label(props.label)) }))),
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
      const { handles: given, bind } = handles({ value: props.value, options: props.props.options });
      early.set(id, { section, bind });
      explorer[id]({ element: holder, events: [], ...given });
    }
  };
  /** A label is a text, or what gradio's I18n makes of one. */
  const label = (text) => (text.startsWith(I18N) ? JSON.parse(text.slice(I18N.length)).key : text);

  if (document.body) start();
  else new MutationObserver((_, observer) => { if (document.body) { observer.disconnect(); start(); } }).observe(document.documentElement, { childList: true });
})();
