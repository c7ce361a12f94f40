// Lessons: what a step asks, its reveal, and the keys that lead through them. The workbench shows what a step is about.
"use strict";
(() => {
  const { explorer } = window;
  const { make, write, say } = explorer;
  const root = document.documentElement;
  //: How long a reveal's move takes, and how often it is asked for on the way.
  const SLIDE = { ms: 1000, every: 2 };
  //: After so long without an answer it is asked for again.
  const PATIENCE_MS = 5000;
  //: A step begins with maps drawn like this, whatever was chosen under Compare.
  const LOOK = { view: "after", overlay: true, opacity: 0.7, smooth: false, threshold: 0, map: "cividis", scale: "kind", token: false, layout: "below" };
  const SLID = ["dx", "dy", "zoom", "angle"];

  let lessons = [];
  let place = { lesson: 0, step: 0, revealed: false };
  let wanted = null; // where a link leads, until the lessons are here
  let inside = false; // whether the lecture has the workbench
  let own = null; // what the workbench showed before the lecture took it
  let trying = false; // whether Compare was opened to try a step out
  let update = () => {};
  let sliding = 0;
  let fresh = false;

  const step = () => lessons[place.lesson].steps[place.step];
  /** A lesson's text in the language of the page. */
  const text = (words) => words[explorer.language] || words.en;

  // ---- where we are

  const find = ({ lesson, step: number = 1, revealed = false }) => {
    const at = lesson === undefined ? 0 : lessons.findIndex(({ name }) => name === String(lesson));
    if (at < 0) return say("There is no lesson “{name}”.", { name: String(lesson) });
    const count = lessons[at].steps.length;
    if (!Number.isInteger(number) || number < 1 || number > count) return say("This lesson has steps 1 to {count}, not “{number}”.", { count, number: String(number) });
    place = { lesson: at, step: number - 1, revealed: revealed === true };
    return "";
  };
  explorer.state.keep("lecture",
    () => (explorer.tab() === "lecture" && lessons.length ? { lesson: lessons[place.lesson].name, step: place.step + 1, revealed: place.revealed } : null),
    (value) => {
      if (!value) return "";
      if (typeof value !== "object") return say("There is no lesson “{name}”.", { name: String(value) });
      if (!lessons.length) { wanted = value; return ""; }
      const problem = find(value);
      if (!problem && inside) show();
      return problem;
    });

  // ---- what the workbench shows

  let asking = 0;
  /** What was asked before the page could ask was not heard. */
  const askAgain = () => {
    if (!inside || !("stale" in root.dataset)) return;
    explorer.question.set({});
    asking = setTimeout(askAgain, PATIENCE_MS);
  };
  const put = ({ models, question, look }) => {
    clearTimeout(asking);
    asking = setTimeout(askAgain, PATIENCE_MS);
    const problems = explorer.state.apply({ models });
    return [...problems, ...explorer.state.apply({ question, look: { ...LOOK, ...look } })];
  };
  // A picture of one's own that arrives during a lesson waits under Compare.
  const shows = explorer.shows;
  explorer.shows = (change) => {
    if (inside && own) own.question = { ...own.question, ...change };
    else shows(change);
  };
  const snapshot = () => {
    const { models, question, look } = explorer.state.get();
    return { models, question, look };
  };
  const stop = () => { cancelAnimationFrame(sliding); sliding = 0; };

  /** Let the step as it stands be seen. */
  const show = () => {
    stop();
    const { before, after, panels, cost } = step();
    root.dataset.lecture = cost ? "chart" : "bench";
    root.dataset.panels = panels.join(" ");
    cover();
    const problems = cost ? [] : put(place.revealed ? after : before);
    fresh = !cost;
    update(problems);
    explorer.tell("looked");
  };
  const cover = () => {
    const { before, after, cost } = step();
    if (place.revealed) delete root.dataset.unrevealed;
    else root.dataset.unrevealed = "";
    explorer.tell("revealed");
    root.dataset.cover = place.revealed ? "" : step().cover.join(" ");
    if (!cost) root.dataset.models = (place.revealed ? after : before).models.length;
  };

  // While the page is still being put together, gradio gives its parts their first values after a step has begun.
  let again = 0;
  explorer.hear("models", (models) => {
    if (!inside || step().cost) return;
    const { models: own } = place.revealed ? step().after : step().before;
    clearTimeout(again);
    if (JSON.stringify(models) !== JSON.stringify(own)) again = setTimeout(() => { if (inside) show(); }, 50);
  });

  const reveal = () => {
    if (place.revealed) return;
    place.revealed = true;
    cover();
    update();
    explorer.tell("looked");
    if (!step().cost) slide(step().after);
  };

  /** Go to a state; what is a move is made before everybody's eyes. */
  const slide = ({ models, question, look }) => {
    const from = { ...explorer.question.get() };
    const moved = SLID.some((name) => question[name] !== from[name]);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches || document.hidden;
    if (still || !moved) { update(put({ models, question, look })); return; }
    const begin = Object.fromEntries(SLID.map((name) => [name, from[name]]));
    update(put({ models, look, question: { ...question, ...begin } }));
    const since = performance.now();
    let frame = 0;
    const onward = () => {
      const share = Math.min((performance.now() - since) / SLIDE.ms, 1);
      const eased = share * share * (3 - 2 * share);
      // The last one is exact.
      const now = share < 1 ? Object.fromEntries(SLID.map((name) => [name, begin[name] + eased * (question[name] - begin[name])]))
        : Object.fromEntries(SLID.map((name) => [name, question[name]]));
      if (share === 1 || frame++ % SLIDE.every === 0) explorer.question.set(now);
      if (share < 1) sliding = requestAnimationFrame(onward);
    };
    sliding = requestAnimationFrame(onward);
  };

  // A row shows its model's last map, whichever was looked at under Compare.
  explorer.hear("answered", () => {
    if (!inside || root.dataset.lecture !== "bench") return;
    if (!fresh || "stale" in root.dataset) return;
    const { rows } = explorer.now.answer;
    fresh = false;
    const layers = Object.fromEntries(rows.map((row, at) => [at, row]).filter(([, row]) => !row.error && row.maps.length)
      .map(([at, row]) => [at, row.maps[row.maps.length - 1].layer]));
    explorer.state.apply({ layers });
  });

  const go = (by) => {
    let { lesson, step: number } = place;
    number += by;
    if (number >= lessons[lesson].steps.length) { lesson += 1; number = 0; }
    else if (number < 0) { lesson -= 1; number = lesson >= 0 ? lessons[lesson].steps.length - 1 : 0; }
    if (lesson < 0 || lesson >= lessons.length) return;
    place = { lesson, step: number, revealed: false };
    show();
  };

  /** As a clicker does: forward reveals and then goes on, back takes the reveal back and then goes back. */
  const forward = () => { if (place.revealed) go(1); else reveal(); };
  const backward = () => {
    if (!place.revealed) { go(-1); return; }
    place.revealed = false;
    show();
  };

  // ---- coming and going

  const enter = () => {
    if (inside || !lessons.length || explorer.tab() !== "lecture") return;
    if (!explorer.question || !explorer.chosen || !explorer.looked) { setTimeout(enter, 20); return; }
    inside = true;
    if (!trying) own = snapshot();
    trying = false;
    back.hidden = true;
    // The keys are the lecture's from now on.
    if (document.activeElement && document.activeElement.matches("[role=tab]")) document.activeElement.blur();
    const problem = wanted ? find(wanted) : "";
    wanted = null;
    show();
    if (problem) explorer.tell("unrestored", [problem]);
  };
  const leave = (tab) => {
    if (!inside) { back.hidden = !(trying && tab === "compare"); return; }
    inside = false;
    stop();
    for (const name of ["lecture", "panels", "cover", "models", "unrevealed"]) delete root.dataset[name];
    if (document.fullscreenElement && !trying) document.exitFullscreen();
    if (!trying && own) put({ ...own, look: { ...own.look } });
    back.hidden = !(trying && tab === "compare");
  };
  const tryIt = () => {
    // Compare shows everything, what a step covers until its reveal too.
    if (step().cost || !place.revealed) return;
    trying = true;
    explorer.state.apply({ look: { layout: own ? own.look.layout : "" } });
    explorer.openTab("compare");
  };
  const back = make("button", { type: "button", id: "back-to-lecture", hidden: true, text: say("← Back to the lecture"), onclick: () => explorer.openTab("lecture") });
  addEventListener("DOMContentLoaded", () => document.body.append(make("div", { class: "part back" }, back)));
  explorer.hear("tab", (tab) => { if (tab === "lecture") enter(); else leave(tab); });

  const theme = () => { document.body.classList.toggle("dark"); explorer.tell("theme"); };
  const fullscreen = () => { if (document.fullscreenElement) document.exitFullscreen(); else if (root.requestFullscreen) root.requestFullscreen().catch(() => {}); };

  // ---- keys

  let bet = () => {};
  const KEYS = {
    ArrowRight: forward, PageDown: forward, " ": forward, ArrowLeft: backward, PageUp: backward,
    Enter: reveal, r: reveal, t: tryIt, f: fullscreen, d: theme,
  };
  addEventListener("keydown", (event) => {
    if (!inside || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const { target } = event;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (target.closest && target.closest("input, select, textarea, [contenteditable=true], dialog, [role=listbox]")) return;
    if (target.tagName === "CANVAS") {
      // What a picture makes of these keys is its own.
      if (key === "Escape") { target.blur(); return; }
      if (!["PageDown", "PageUp", "Enter", "r", "t", "f"].includes(key)) return;
    }
    if (target.closest && target.closest("button, a, summary") && (key === "Enter" || key === " ")) return;
    if (target.closest && target.closest("[role=tab]") && key.startsWith("Arrow")) return;
    if (/^[1-9]$/.test(key)) { bet(Number(key)); return; }
    if (!KEYS[key]) return;
    event.preventDefault();
    KEYS[key]();
  });

  // ---- the panel

  explorer.lecture = ({ element, trigger, props, watch }) => {
    const panel = element.querySelector(".part");
    lessons = props.options.lessons;
    const { colours } = props.options;
    let costs = null;
    let asking = false;
    let taken = 0;

    const svg = (tag, attributes, label) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
      if (label !== undefined) made.textContent = label;
      return made;
    };
    const sign = (path, fill = "none") => {
      const drawn = svg("svg", { viewBox: "0 0 16 16", width: "1em", height: "1em", "aria-hidden": "true" });
      drawn.append(svg("path", { d: path, fill: "none", stroke: "currentColor", "stroke-width": 1.6 }));
      if (fill !== "none") drawn.append(svg("path", { d: path.slice(path.indexOf("M", 1)), fill }));
      return drawn;
    };

    // Where a formula is among those that were set.
    let count = 0;
    const numbers = lessons.map(({ steps }) => steps.map(({ formula: one }) => (one ? count++ : -1)));

    const button = (label, title, keys, onclick, name) => make("button", { type: "button", class: name, text: say(label), title: `${say(title)} (${keys})`, "aria-keyshortcuts": keys, onclick });
    const menu = make("select", { "aria-label": say("Lesson"), onchange: () => { place = { lesson: Number(menu.value), step: 0, revealed: false }; show(); menu.blur(); } },
      ...lessons.map(({ title }, at) => make("option", { value: at, text: text(title) })));
    const progress = make("span", { class: "progress", role: "status" });
    const title = make("h2", { class: "step" });
    const previous = button("←", "Take the reveal back, then the step before", "ArrowLeft", backward, "turn");
    const next = button("→", "Reveal, then the next step", "ArrowRight", forward, "turn");
    const uncover = button("Reveal", "Show what happens", "Enter", reveal, "main uncover");
    const tried = button("Try it yourself", "Open this under Compare", "T", tryIt, "try");
    const dark = button("", "Light or dark", "D", theme, "sign");
    const full = button("", "Full screen", "F", fullscreen, "sign");
    dark.append(sign("M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13M8 1.5v13a6.5 6.5 0 0 0 0-13", "currentColor"));
    full.append(sign("M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4"));
    for (const [one, name] of [[previous, "Back"], [next, "Next"], [dark, "Light or dark"], [full, "Full screen"]]) one.setAttribute("aria-label", say(name));
    const done = make("span", { class: "done" });
    const question = make("p", { class: "question" });
    const choices = make("div", { class: "choices", role: "group", "aria-label": say("Your bet") });
    const waiting = make("p", { class: "wait", text: say("Predict first, then reveal.") });
    const explanation = make("p", { class: "explanation" });
    const formula = make("div", { class: "formula" });
    const sources = make("p", { class: "sources" });
    const answer = make("div", { class: "answer", "aria-live": "polite" }, make("div", { class: "said" }, explanation, sources), formula);
    const problem = make("p", { class: "problem", role: "alert", hidden: true });
    const chart = make("div", { class: "chart" });
    panel.replaceChildren(
      make("div", { class: "bar" }, menu, progress, title, previous, uncover, next, tried, dark, full),
      make("div", { class: "line" }, done), question, choices,
      make("div", { class: "slot" }, waiting, answer), problem, chart);
    // Who clicks goes on with the keys: Enter reveals, whatever was clicked last.
    panel.addEventListener("click", (event) => { if (event.detail > 0 && document.activeElement && document.activeElement.tagName === "BUTTON") document.activeElement.blur(); });
    root.style.setProperty("--predict", JSON.stringify(say("Predict first")));

    // The head of the page, which tells such things elsewhere, is not shown here.
    explorer.hear("notice", (words) => {
      if (!inside || !words) return;
      told = { at: `${place.lesson} ${place.step}`, words };
      update();
    });

    bet = (number) => {
      if (place.revealed || number > step().choices.length) return;
      taken = number;
      marks();
    };
    const marks = () => {
      const { right } = step();
      [...choices.children].forEach((one, at) => {
        one.setAttribute("aria-pressed", String(taken === at + 1));
        one.classList.toggle("right", place.revealed && right === at + 1);
        one.disabled = place.revealed;
      });
    };

    const typeset = () => {
      const number = numbers[place.lesson][place.step];
      const set = document.querySelectorAll("#lecture-formulas .katex-display")[number];
      if (number < 0) formula.replaceChildren();
      else if (set) {
        formula.replaceChildren(set.cloneNode(true));
        fitFormula();
      }
      formula.hidden = number < 0;
    };
    /** A formula that is wider than its place is set smaller. */
    const fitFormula = () => {
      const inner = formula.querySelector(".katex");
      if (!inner) return;
      inner.style.fontSize = "";
      const space = formula.clientWidth;
      const wide = inner.querySelector(".katex-html").scrollWidth;
      if (space && wide > space) inner.style.fontSize = `${Math.max(0.55, space / wide)}em`;
    };
    // Formulas are set when the tab is first opened, a moment after it is drawn.
    const seen = new MutationObserver(() => { if (inside) typeset(); });
    const watchFormulas = () => {
      const set = document.querySelector("#lecture-formulas");
      if (set) { seen.observe(set, { childList: true, subtree: true }); if (inside) typeset(); } else setTimeout(watchFormulas, 50);
    };
    watchFormulas();

    let drawn = "";
    let told = { at: "", words: "" }; // what was said of this step's link
    update = (problems = []) => {
      const { lesson, step: number, revealed } = place;
      const one = step();
      const key = `${lesson} ${number}`;
      if (drawn !== key) {
        drawn = key;
        taken = 0;
        choices.replaceChildren(...one.choices.map((choice, at) => make("button", { type: "button", onclick: () => bet(at + 1) },
          make("kbd", { text: at + 1 }), make("span", { text: text(choice) }))));
      }
      menu.value = lesson;
      write(progress, say("{number} of {count}", { number: number + 1, count: lessons[lesson].steps.length }));
      done.style.width = `${(100 * (number + 1)) / lessons[lesson].steps.length}%`;
      write(title, text(one.title));
      write(question, text(one.question));
      write(explanation, text(one.explanation));
      write(sources, one.sources.join(" · "));
      panel.classList.toggle("revealed", revealed);
      answer.setAttribute("aria-hidden", String(!revealed));
      uncover.disabled = revealed;
      tried.hidden = Boolean(one.cost);
      tried.disabled = !revealed;
      previous.disabled = !revealed && !lesson && !number;
      next.disabled = revealed && lesson === lessons.length - 1 && number === lessons[lesson].steps.length - 1;
      write(problem, [...(told.at === key ? [told.words] : []), ...problems].join(" "));
      problem.hidden = !problem.textContent;
      marks();
      typeset();
      drawChart();
    };

    // ---- the chart of costs

    const powerOfTen = (exponent) => {
      if (exponent >= -3 && exponent <= 3) return String(Number((10 ** exponent).toPrecision(1)));
      return `10${[...String(exponent)].map((sign) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign] || "⁻").join("")}`;
    };
    const drawChart = () => {
      const { cost } = step();
      chart.hidden = !cost;
      if (!cost) { chart.replaceChildren(); return; }
      if (!costs) {
        chart.replaceChildren(make("p", { class: "wait", text: say("Counting…") }));
        if (!asking) { asking = true; trigger("costs"); }
        return;
      }
      const at = cost.show === "milliseconds" ? 2 : 1;
      const width = chart.clientWidth;
      const tall = root.dataset.lecture === "chart" && matchMedia("(min-width: 900px) and (min-height: 520px)").matches;
      const height = tall ? Math.max(220, innerHeight - chart.getBoundingClientRect().top - 14) : 340;
      const size = parseFloat(getComputedStyle(question).fontSize) * 0.72;
      const [left, right, top, bottom] = [size * 5.2, size * 6.2, size * 1.9, size * 3];
      const lines = cost.blocks.map((name) => ({ name, points: costs[name].points.map((point) => [Math.log10(point[0]), Math.log10(Math.max(point[at], 1e-9)), point]) }));
      const xs = lines[0].points.map(([x]) => x);
      const ys = lines.flatMap(({ points }) => points.map(([, y]) => y));
      const [low, high] = [Math.floor(Math.min(...ys)), Math.ceil(Math.max(...ys))];
      const toX = (x) => left + ((x - xs[0]) / (xs[xs.length - 1] - xs[0])) * (width - left - right);
      const toY = (y) => height - bottom - ((y - low) / (high - low)) * (height - top - bottom);
      const unit = at === 2 ? say("time of one picture, ms") : say("multiply-adds");
      const words = `${unit}: ${lines.map(({ name, points }) => `${name} ${points.map(([, , point]) => `${point[0]}: ${explorer.digits(point[at])}`).join(", ")}`).join("; ")}`;
      const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": place.revealed ? words : unit, "font-size": size });
      for (let y = low; y <= high; y++) {
        picture.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: toY(y), y2: toY(y) }),
          svg("text", { x: left - size * 0.5, y: toY(y) + size * 0.35, "text-anchor": "end" }, powerOfTen(y)));
      }
      lines[0].points.forEach(([x, , point]) => {
        picture.append(svg("line", { class: "grid", x1: toX(x), x2: toX(x), y1: top, y2: height - bottom }),
          svg("text", { x: toX(x), y: height - bottom + size * 1.2, "text-anchor": "middle" }, point[0]));
      });
      picture.append(svg("text", { x: (left + width - right) / 2, y: height - size * 0.4, "text-anchor": "middle", class: "soft" }, `n = H × W, d = ${costs[cost.blocks[0]].channels}`),
        svg("text", { x: left, y: size * 1.1, class: "soft" }, unit));
      // A curve's first points tell its slope: before the reveal there are axes alone, and the names in the lesson's order.
      const shown = place.revealed ? lines : [];
      if (!place.revealed) {
        lines.forEach(({ name }, number) => picture.append(
          svg("circle", { cx: width - right + size * 0.95, cy: top + size * (1 + 1.3 * number), r: size * 0.3, fill: colours[name] }),
          svg("text", { x: width - right + size * 1.45, y: top + size * (1.35 + 1.3 * number), class: "name" }, name)));
      }
      // The names stand apart where lines end close to each other.
      const labels = shown.map(({ name, points }) => ({ name, at: points[points.length - 1], y: toY(points[points.length - 1][1]) })).sort((a, b) => a.y - b.y);
      labels.forEach((one, number) => { if (number) one.y = Math.max(one.y, labels[number - 1].y + size * 1.15); });
      const over = labels.length ? labels[labels.length - 1].y - (height - bottom) : 0;
      if (over > 0) for (const one of labels) one.y -= over;
      for (const { name, points } of shown) {
        const colour = colours[name];
        picture.append(svg("polyline", { points: points.map(([x, y]) => `${toX(x)},${toY(y)}`).join(" "), fill: "none", stroke: colour, "stroke-width": size * 0.2, "stroke-linejoin": "round" }));
        for (const [x, y] of points) picture.append(svg("circle", { cx: toX(x), cy: toY(y), r: size * 0.3, fill: colour }));
      }
      for (const { name, at: [x], y } of labels) {
        picture.append(svg("circle", { cx: toX(x) + size * 0.95, cy: y, r: size * 0.3, fill: colours[name] }), svg("text", { x: toX(x) + size * 1.45, y: y + size * 0.35, class: "name" }, name));
      }
      chart.replaceChildren(picture);
    };
    const learn = () => {
      if (typeof props.value !== "string" || !props.value) return;
      costs = JSON.parse(props.value);
      if (inside) drawChart();
    };
    watch("value", learn);
    learn();
    let resized = 0;
    const again = () => { cancelAnimationFrame(resized); resized = requestAnimationFrame(() => { if (inside) { drawChart(); fitFormula(); } }); };
    new ResizeObserver(again).observe(panel);
    addEventListener("resize", again);
    enter();
  };
})();
