// The answers: a row a model, drawn on canvases from raw numbers that were sent once.
"use strict";
(() => {
  const { explorer } = window;
  const { make, write } = explorer;
  const { now } = explorer;
  const { makeRow, present, showSeen, showAttention, showAttribution, VIEWS } = explorer.rows;
  const SETTLED_MS = 250;
  //: From so many models on, they stand two to a line where a line is wide enough.
  const SIDE_BY_SIDE = { models: 3, width: 620, ample: 860 };
  const UNTRAINED = "Models marked random have learnt nothing: their maps show the architecture only. Choose “pretrained” to fetch learnt weights from the Hugging Face hub.";
  const OFFERED = { attention: ["after", "before"], attribution: ["after", "before", "pulled", "difference"] };

  /** Buttons of which one is pressed: {value: text}. */
  const choice = (label, values, get, set) => {
    const buttons = Object.entries(values).map(([value, title]) => make("button", {
      type: "button", text: title, "data-value": value,
      onclick: () => { set(value); show(); },
    }));
    const show = () => { for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.value === get())); };
    show();
    return { show, element: make("div", { class: "choice", role: "group", "aria-label": label || "Models" }, label ? make("span", { text: label }) : null, ...buttons) };
  };

  const view = (label, name, redraw) => choice(label, Object.fromEntries(OFFERED[name].map((one) => [one, VIEWS[one]])),
    () => now.look[name], (value) => { now.look[name] = value; redraw(); }).element;

  const check = (label, name, redraw, title) => make("label", { class: "check", title },
    make("input", { type: "checkbox", checked: now.look[name], onchange: (event) => { now.look[name] = event.target.checked; redraw(); } }), label);

  explorer.stage = ({ element, trigger, props, watch }) => {
    const root = element.querySelector(".part");
    explorer.palettes(props.options.palettes);
    const rows = [];
    let timer = null;
    let hovered = false;
    let painting = 0;
    let layout = null; // "side" or "below" where it was chosen

    const shownRows = () => rows.slice(0, explorer.chosen.models().length);
    const isSide = () => layout === "side"
      || (layout === null && shownRows().length >= SIDE_BY_SIDE.models && list.clientWidth >= SIDE_BY_SIDE.width);
    const arrange = () => {
      list.classList.toggle("side", isSide());
      list.classList.toggle("narrow", list.clientWidth < SIDE_BY_SIDE.ample);
      const answered = now.answer ? now.answer.rows.filter((row) => !row.error) : [];
      // One scene that all see alike is shown once, beside its controls; until they have answered they may.
      list.classList.toggle("alike", isSide() && Boolean(explorer.question.get().scene) && answered.every((row) => row.images[1] === answered[0].images[1]));
      lay.show();
      token.hidden = !answered.some((row) => row.maps.some((map) => map.prefix.length));
    };

    const drawRow = (row) => {
      const data = row.data;
      if (!now.answer || !data || data.error) return;
      row.missing = false;
      showSeen(row, data, now.images);
      showAttention(row, data, now.images);
      showAttribution(row, data, now.images);
    };
    /** Draw again what is here; ask the server only for numbers that are not. */
    const redraw = (only = null) => {
      arrange();
      const drawn = only ? [only] : shownRows();
      drawn.forEach(drawRow);
      if (drawn.some((row) => row.missing)) explorer.question.set({}, true);
    };
    let frame = 0;
    const soon = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => redraw());
    };

    const lay = choice("", { side: "side by side", below: "in rows" }, () => (isSide() ? "side" : "below"), (value) => { layout = value; soon(); });
    lay.element.classList.add("lay");
    const status = make("span", { class: "status", role: "status" });
    const opacity = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: now.look.opacity, "aria-label": "Opacity of the overlay" });
    opacity.addEventListener("input", () => { now.look.opacity = Number(opacity.value); soon(); });
    const list = make("div", { class: "rows" });
    const token = check("class token asks", "token", soon, "show what the class token attends to, in models that have one");
    const toolbar = make("div", { class: "toolbar", role: "toolbar", "aria-label": "How maps are shown" },
      view("Attention", "attention", soon), view("Attribution", "attribution", soon), lay.element,
      make("div", { class: "choice" }, check("overlay", "overlay", soon, "lay the maps over the picture in grey"), opacity),
      check("smooth", "smooth", soon, "blend neighbouring cells; the cells are what was computed"),
      token);
    const notes = make("span", { class: "picture-notes" });
    const foot = make("div", { class: "foot" });
    root.replaceChildren(toolbar, make("p", { class: "said" }, status, notes), list, foot);

    const mount = (models) => {
      while (rows.length < models.length) rows.push(makeRow(rows.length, redraw));
      list.replaceChildren(...rows.slice(0, models.length).map((row) => row.element));
      models.forEach((text, index) => {
        const row = rows[index];
        const editor = explorer.chosen.editor(index);
        if (!row.headline.contains(editor.element)) row.headline.replaceChildren(editor.element, row.badge, row.device, editor.remove);
        const data = row.data;
        if (data && data.asked !== text) {
          // A row that moved up keeps its answer; a new text waits for its own.
          row.data = now.answer ? now.answer.rows.find((one) => one.asked === text) || null : null;
        }
        row.element.classList.toggle("waiting", !row.data);
        if (row.data) present(row);
      });
      foot.replaceChildren(explorer.chosen.add);
      arrange();
      soon();
    };

    const receive = async (text) => {
      if (typeof text !== "string" || !text) return;
      const mine = ++painting;
      const next = JSON.parse(text);
      next.blob = explorer.bytes(next.blob);
      const loaded = await Promise.all(next.images.map(explorer.panels.picture));
      if (mine !== painting) return; // a later answer has come meanwhile
      now.answer = next;
      now.images = loaded;
      explorer.tell("frame", next.frame);
      explorer.chosen.models().forEach((name, index) => {
        const own = next.rows[index];
        const data = own && own.asked === name ? own : next.rows.find((one) => one.asked === name);
        if (data) { rows[index].data = data; present(rows[index]); }
      });
      write(status, next.identity ? "Not moved." : `Moved: ${next.transform}.`);
      const lines = [...next.notes];
      if (next.rows.some((row) => row.state === "random")) lines.push(UNTRAINED);
      write(notes, lines.join(" "));
      arrange();
      // Numbers that are still missing were asked for already: another answer is under way.
      shownRows().forEach(drawRow);
      explorer.tell("answered");
      root.dataset.key = next.key;
      root.dataset.transform = next.transform;
      root.dataset.painted = String(performance.now());
      settle();
    };

    /** Once nothing has moved for a while and somebody is about to ask, fetch what makes asking instant. */
    const settle = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (now.answer && hovered && (!now.bank || now.bank.key !== now.answer.key)) trigger("settled");
      }, SETTLED_MS);
    };

    /** Ask from a place of the moved picture, `move` null for one of the picture as it was. */
    explorer.askFrom = (move, place) => {
      const before = move ? explorer.maps.backward(move, place) : place;
      if (before) explorer.tell("ask", before);
      else write(status, explorer.question.get().scene ? "That place is none of the object's before the move." : "That place shows the border, not the picture.");
    };
    explorer.hear("hover", () => {
      if (hovered) return;
      hovered = true;
      settle();
    });
    explorer.hear("bank", (text) => {
      const next = JSON.parse(text);
      if (!now.answer || next.key !== now.answer.key) return;
      next.blob = explorer.bytes(next.blob);
      now.bank = next;
      root.dataset.bank = next.key;
      if (!now.answer.complete) soon();
    });
    explorer.hear("ask", (place) => {
      explorer.question.set({ query: place }, false);
      // Drawn from the bank where it reaches; where it does not, redraw asks the server.
      redraw();
      explorer.tell("query");
    });
    explorer.hear("query", soon);
    // A scene's object follows the pointer at once, its answers when they come.
    explorer.hear("asked", () => {
      if (explorer.question.get().scene && !list.classList.contains("alike")) {
        for (const row of shownRows()) if (now.answer && row.data && !row.data.error) showSeen(row, row.data, now.images);
      }
    });
    explorer.hear("models", mount);
    new ResizeObserver(soon).observe(list);

    const begin = () => {
      if (!explorer.chosen || !explorer.question) { setTimeout(begin, 10); return; }
      mount(explorer.chosen.models());
      receive(props.value);
      watch("value", () => receive(props.value));
    };
    begin();
  };

  /** Receives whole matrices; shown nowhere. */
  explorer.bank = ({ props, watch }) => {
    watch("value", () => { if (typeof props.value === "string" && props.value) explorer.tell("bank", props.value); });
  };
})();
