// The tabs of the biases: what to measure, how far it is, and clicks in figures that move what is under Compare.
"use strict";
(() => {
  const { explorer } = window;
  const { make, write } = explorer;

  /** A control for one parameter of a probe; `change` gets its value, or undefined for the probe's own. */
  const control = (one, id, change) => {
    const label = one.name.replaceAll("_", " ");
    let input;
    if (one.choices.length) {
      input = make("select", { id }, ...one.choices.map((choice) => make("option", { value: choice, text: choice, selected: choice === one.default })));
      input.addEventListener("change", () => change(input.value));
    } else if (one.yes) {
      input = make("input", { id, type: "checkbox" });
      input.checked = Boolean(one.default);
      input.addEventListener("change", () => change(input.checked));
    } else {
      input = make("input", one.words
        ? { id, type: "text", value: one.default ?? "", maxlength: 200 }
        : { id, type: "number", min: one.low, max: one.high, step: one.whole ? 1 : "any", value: one.default ?? "", placeholder: "own choice" });
      input.addEventListener("change", () => {
        if (input.value === "" || !input.checkValidity()) {
          input.value = one.default ?? "";
          change(undefined);
        } else change(one.words ? input.value : Number(input.value));
      });
    }
    const range = one.low === null || one.low === undefined ? "" : `, ${one.low} to ${one.high}`;
    return make("div", { class: "field plain", title: one.text },
      make("label", { for: id, text: label }), input, make("span", { class: "unit", text: one.unit }), make("p", { class: "hint", text: one.text + range }));
  };

  explorer.probe = ({ element, trigger, props }) => {
    const { bias, question, intro, probes } = props.options;
    const wanted = { probe: probes.length ? probes[0].name : "", parameters: {}, shown: "several" };
    const publish = () => { props.value = JSON.parse(JSON.stringify(wanted)); };
    const probe = () => probes.find(({ name }) => name === wanted.probe);
    const title = make("p", { class: "probe-question" });
    const about = make("div", {});
    const limits = make("p", { class: "probe-limits" });
    const parameters = make("div", { class: "probe-parameters" });
    const choice = make("div", { class: "probe-choice", role: "radiogroup", "aria-label": "Probe" });
    const shown = make("select", { id: `shown-${bias}`, onchange: () => { wanted.shown = shown.value; publish(); } },
      make("option", { value: "several", text: "24 scenes, or the sample photographs" }),
      make("option", { value: "stage", text: "what is shown under Compare" }));
    const looks = make("div", { class: "field plain" }, make("label", { for: `shown-${bias}`, text: "measured on" }), shown);
    const folded = make("details", { class: "probe-more" }, make("summary", { text: "Parameters" }), parameters);
    const source = make("details", { class: "probe-more" }, make("summary", { text: "Formula and source" }), about);
    const linked = { shift: "Click in a figure to move the picture under Compare there.", zoom: "Click in a figure to rescale the picture under Compare.",
      layer: "Click a point to choose its layer under Compare." };
    const link = make("p", { class: "hint" });
    const measure = make("button", { type: "button", class: "main", text: probes.length ? "Measure" : "Measure all biases", onclick: () => run(true) });
    const stop = make("button", { type: "button", class: "quiet", text: "Stop", hidden: true, onclick: () => { run(false); trigger("stop"); } });
    const run = (on) => {
      measure.disabled = on;
      stop.hidden = !on;
      if (on) { publish(); trigger("measure"); }
    };
    explorer.hear(`working-${bias}`, ({ share }) => {
      const on = share < 1;
      measure.disabled = on;
      stop.hidden = !on;
    });
    const show = () => {
      const one = probe();
      if (!one) return;
      for (const button of choice.children) {
        button.setAttribute("aria-checked", String(button.dataset.name === one.name));
        button.tabIndex = button.dataset.name === one.name ? 0 : -1;
      }
      write(title, one.title);
      write(limits, `What this does not show: ${one.limits}`);
      write(link, linked[one.link] || "");
      about.replaceChildren(make("p", { class: "formula", text: one.formula }), make("p", { text: one.source }));
      looks.hidden = !one.looks;
      folded.hidden = !one.parameters.length;
      parameters.replaceChildren(...one.parameters.map((each) => control(each, `${bias}-${one.name}-${each.name}`, (value) => {
        if (value === undefined) delete wanted.parameters[each.name];
        else wanted.parameters[each.name] = value;
        publish();
      })));
    };
    const choose = (name) => { wanted.probe = name; wanted.parameters = {}; show(); publish(); };
    choice.append(...probes.map(({ name }) => make("button", { type: "button", role: "radio", "data-name": name, text: name.replaceAll("-", " "), onclick: () => choose(name) })));
    choice.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const names = probes.map(({ name }) => name);
      choose(names[(names.indexOf(wanted.probe) + step + names.length) % names.length]);
      choice.querySelector("[aria-checked=true]").focus();
    });
    element.querySelector(".part").replaceChildren(make("div", { class: "probe" },
      make("h2", { text: question }), make("p", { class: "hint", text: intro }),
      ...(probes.length ? [choice, title, make("div", { class: "probe-row" }, looks, measure, stop), folded, source, limits, link] : [make("div", { class: "probe-row" }, measure, stop)])));
    show();
    publish();
  };

  /** How far a measurement is, and what has to be said about it. */
  explorer.working = ({ element, props, watch }) => {
    const root = element.querySelector(".part");
    const { bias } = props.options;
    const bar = make("progress", { max: 1, value: 0, "aria-label": "measurement under way" });
    const words = make("span", { role: "status" });
    const notes = make("ul", { class: "points" });
    root.replaceChildren(make("div", { class: "working" }, bar, words), notes);
    const show = () => {
      const text = typeof props.value === "string" ? props.value : "";
      root.hidden = !text;
      if (!text) return;
      const { words: said, share, notes: told } = JSON.parse(text);
      bar.hidden = share >= 1;
      bar.value = share;
      write(words, said);
      notes.replaceChildren(...told.map((one) => make("li", { text: one })));
      explorer.tell(`working-${bias}`, { share });
    };
    show();
    watch("value", show);
  };

  // ---- clicks in figures

  let notice = null;
  const say = (text) => {
    if (!notice) {
      notice = make("div", { class: "linked", role: "status" });
      document.body.append(notice);
    }
    const go = make("button", { type: "button", class: "main", text: "Show", onclick: () => {
      notice.hidden = true;
      document.querySelector("#tabs > .tab-wrapper button[role=tab]").click();
    } });
    const close = make("button", { type: "button", class: "quiet", text: "Close", onclick: () => { notice.hidden = true; } });
    notice.replaceChildren(make("span", { text }), go, close);
    notice.hidden = false;
  };
  const number = (value) => Number(value.toFixed(2));

  const follow = (meta, point) => {
    const { question } = explorer;
    if (!question) return;
    if (meta.link === "shift") {
      // A map is of one model and in its pixels; the question's pixels are the first model's.
      const own = meta.models.findIndex((model) => meta.title.includes(model));
      const size = meta.sizes[Math.max(own, 0)];
      const frame = question.frame();
      const share = { x: frame[1] / size[1], y: frame[0] / size[0] };
      const change = { dx: number(point.x * share.x), dy: point.z === undefined ? 0 : number(point.y * share.y) };
      question.set(change);
      say(`The picture under Compare is moved by ${change.dx} px to the right and ${change.dy} px down.`);
    } else if (meta.link === "zoom") {
      question.set({ zoom: number(point.x) });
      say(`The picture under Compare is rescaled to ${number(point.x)} times its size.`);
    } else if (meta.link === "layer") {
      // A place on the axis is a layer's number over their count.
      const model = meta.models.findIndex((one) => [one, `${one}, heads`].includes(point.data.name));
      const layers = meta.layers[model] || [];
      const path = layers[Math.min(layers.length, Math.max(1, Math.round(point.x * layers.length))) - 1];
      if (path === undefined) return;
      explorer.tell("layer", { model, path });
      say(`Layer ${path} of ${meta.models[model]} is chosen under Compare.`);
    }
  };
  explorer.followFigure = follow;

  // gradio makes a figure anew at every change: whichever is there listens.
  new MutationObserver(() => {
    for (const figure of document.querySelectorAll(".bias-plot .js-plotly-plot")) {
      if (figure.dataset.linked || typeof figure.on !== "function") continue;
      figure.dataset.linked = "yes";
      figure.on("plotly_click", ({ points }) => {
        const meta = figure.layout && figure.layout.meta;
        if (meta && meta.link && points.length) follow(meta, points[0]);
      });
    }
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
