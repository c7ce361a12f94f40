// The answers: a row a model, drawn on canvases from raw numbers that were sent once.
"use strict";
(() => {
  const { explorer } = window;
  const { make, write, say } = explorer;
  const { now } = explorer;
  const { makeRow, present, showSeen, attention, attribution, paintAll } = explorer.rows;
  const SETTLED_MS = 250;
  //: From so many models on, they stand two to a line where a line is wide enough.
  const SIDE_BY_SIDE = { models: 3, width: 620, ample: 860 };
  const UNTRAINED = "Models marked random have learnt nothing: their maps show the architecture only. Choose “pretrained” to fetch learnt weights from the Hugging Face hub.";
  const VIEWS = { after: "as the models see it", before: "before the move", pulled: "pulled back", difference: "difference" };

  /** Buttons of which one is pressed: {value: text}. */
  const choice = (label, values, get, set, titles = {}) => {
    const buttons = Object.entries(values).map(([value, title]) => make("button", {
      type: "button", text: say(title), "data-value": value, title: titles[value] ? say(titles[value]) : null,
      onclick: () => { set(value); show(); },
    }));
    const show = () => { for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.value === get())); };
    show();
    return { show, element: make("div", { class: "choice", role: "group", "aria-label": say(label) }, make("span", { text: say(label) }), ...buttons) };
  };

  explorer.stage = ({ element, trigger, props, watch }) => {
    const root = element.querySelector(".part");
    const { palettes } = props.options;
    explorer.palettes(palettes);
    const rows = [];
    let timer = null;
    let hovered = false;
    let coming = null; // an answer whose pictures are being decoded
    let width = 0; // of the list, px

    const shownRows = () => rows.slice(0, explorer.chosen.models().length);
    const isSide = () => now.look.layout === "side"
      || (!now.look.layout && shownRows().length >= SIDE_BY_SIDE.models && width >= SIDE_BY_SIDE.width);
    const arrange = () => {
      list.classList.toggle("side", isSide());
      list.classList.toggle("narrow", width < SIDE_BY_SIDE.ample);
      const answered = now.answer ? now.answer.rows.filter((row) => !row.error) : [];
      // What all see alike is shown once, beside its controls; until they have answered they may.
      list.classList.toggle("alike", isSide() && now.look.view === "after" && Boolean(explorer.question.get().scene) && answered.every((row) => row.images[1] === answered[0].images[1]));
      for (const one of shows) one();
      token.hidden = !answered.some((row) => row.maps.some((map) => map.prefix.length));
    };

    /** Whether a row shows the answer of its model to the present question. */
    const isFresh = (row) => Boolean(row.data) && !row.missing && row.data.asked === explorer.chosen.models()[row.index] && explorer.question.isAnsweredBy(row.answer);
    /** Dim what is no answer to the present question, until that comes. */
    const mark = () => {
      const late = shownRows().filter((row) => !isFresh(row));
      for (const row of shownRows()) {
        row.element.classList.toggle("stale", late.includes(row));
        row.element.classList.toggle("moving", late.includes(row) && Boolean(row.answer) && explorer.question.isAnsweredBy(row.answer, false));
      }
      if (!late.length && shownRows().length) delete document.documentElement.dataset.stale;
      else document.documentElement.dataset.stale = "";
    };
    const places = (pins) => JSON.stringify(pins.map(({ x, y }) => [x, y]));
    /** How much of the present question an answer answers: 0 for nothing; `here` where it is shown already. */
    const worth = (answer, here) => {
      if (!answer || JSON.stringify(answer.models) !== JSON.stringify(explorer.chosen.models()) || !explorer.question.isAnsweredBy(answer)) return 0;
      const { pins, pin } = explorer.question.get();
      if (here ? shownRows().some((row) => row.missing) : answer.pin !== pin || places(answer.pins) !== places(pins)) return 1;
      return 2 + answer.rows.filter((row) => !row.error).length + answer.rows.filter((row) => row.attribution && row.attribution.after).length;
    };

    /** Rows of the present answer: what a row keeps of an earlier one has its numbers and pictures there. */
    const live = () => shownRows().filter((row) => now.answer && row.data && !row.data.error && now.answer.rows.includes(row.data));
    /** Draw again what is here; ask the server only for numbers that are not. */
    const draw = () => {
      if (!now.answer) return;
      for (const row of live()) { row.missing = false; showSeen(row, row.data, now.images); }
      const shared = now.look.scale === "kind";
      paintAll(live().map((row) => attention(row, row.data, now.images)).filter(Boolean), shared);
      // Activations of different networks have no unit in common.
      paintAll(live().map((row) => attribution(row, row.data, now.images)).filter(Boolean), now.look.scale === "all");
      mark();
    };
    const redraw = () => {
      arrange();
      draw();
      if (shownRows().some((row) => row.missing)) explorer.question.set({}, true);
    };
    let frame = 0;
    const soon = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(redraw);
    };
    /** Change how things are looked at; nothing is asked for that. */
    const look = (change) => {
      Object.assign(now.look, change);
      soon();
      explorer.tell("looked");
    };

    const shows = [];
    const chosen = (label, name, values, titles) => {
      const one = choice(label, values, () => (name === "layout" ? (isSide() ? "side" : "below") : now.look[name]), (value) => look({ [name]: value }), titles);
      shows.push(one.show);
      return one.element;
    };
    const check = (label, name, title) => {
      const box = make("input", { type: "checkbox", onchange: () => look({ [name]: box.checked }) });
      shows.push(() => { box.checked = now.look[name]; });
      return make("label", { class: "check", title: say(title) }, box, say(label));
    };
    const share = (label, name, title) => {
      const input = make("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": say(title) });
      const output = make("output");
      input.addEventListener("input", () => look({ [name]: Number(input.value) }));
      shows.push(() => { input.value = now.look[name]; write(output, `${Math.round(100 * now.look[name])} %`); });
      return make("label", { class: "share", title: say(title) }, make("span", { text: say(label) }), input, output);
    };

    const lay = chosen("Models", "layout", { side: "side by side", below: "in rows" });
    lay.classList.add("lay");
    const token = check("class token asks", "token", "show what the class token attends to, in models that have one");
    token.classList.add("token");
    const colours = make("select", { "aria-label": say("Colour map"), onchange: () => look({ map: colours.value }) },
      ...Object.keys(palettes).filter((name) => name !== "diverging").map((name) => make("option", { value: name, text: say(name) })));
    shows.push(() => { colours.value = now.look.map; });
    const status = make("span", { class: "status", role: "status" });
    const list = make("div", { class: "rows" });
    const toolbar = make("div", { class: "toolbar" },
      make("div", { class: "views", role: "toolbar", "aria-label": say("What is shown of the move") }, chosen("View", "view", VIEWS, {
        pulled: "the moved picture and its maps, brought back to where things were before the move",
        difference: "pulled back minus before: zero everywhere for a map that moves with the picture",
      })),
      make("details", { class: "looks" }, make("summary", { text: say("How maps are drawn") }), make("div", { class: "looking" },
        check("over the picture", "overlay", "lay the maps over the picture in grey"),
        share("Opacity", "opacity", "Opacity of the maps over the picture"),
        share("Threshold", "threshold", "Leave out what stays below this share of the scale"),
        make("label", { class: "share" }, make("span", { text: say("Colours") }), colours),
        chosen("Scale", "scale", { kind: "one for attention of a kind", all: "one for all of a kind", own: "each its own" }, {
          kind: "Maps of one kind and unit share a scale. Grad-CAM has one a model: activations of different networks have no unit in common.",
        }),
        check("smooth", "smooth", "blend neighbouring cells; the cells are what was computed"), token, lay)));
    const notes = make("span", { class: "picture-notes" });
    const foot = make("div", { class: "foot" });
    root.replaceChildren(toolbar, make("p", { class: "said" }, status, notes), list, foot);

    const first = { ...now.look };
    explorer.state.keep("look", () => Object.fromEntries(Object.entries(now.look).filter(([name, value]) => value !== first[name])), (change) => {
      const value = { ...first, ...change };
      const known = Object.keys(now.look);
      const allowed = { view: Object.keys(VIEWS), map: Object.keys(palettes), scale: ["kind", "all", "own"], layout: ["", "side", "below"] };
      const problems = [];
      const good = {};
      for (const [name, one] of Object.entries(value)) {
        const fits = known.includes(name) && typeof one === typeof now.look[name] && (!allowed[name] || allowed[name].includes(one))
          && (typeof one !== "number" || (one >= 0 && one <= 1));
        if (fits) good[name] = one;
        else problems.push(say("Maps cannot be drawn with {name} “{value}”.", { name, value: String(one) }));
      }
      look(good);
      return problems.join(" ");
    });
    /** What is looked at in every model: {0: "path of the layer", 1: "path#head"}. */
    const layersNow = () => Object.fromEntries(shownRows().filter((row) => row.data && row.data.maps && row.map !== null && row.data.maps[row.map])
      .map((row) => [row.index, row.data.maps[row.map].layer + (row.head < 0 ? "" : `#${row.head}`)]));
    let wanted = {}; // layers that wait for their model's answer
    const chooseLayers = () => {
      const problems = [];
      for (const [index, named] of Object.entries(wanted)) {
        const [, layer, head] = /^(.*?)(?:#(\d+))?$/.exec(named);
        const row = rows[index];
        if (!row || !row.data) continue;
        delete wanted[index];
        if (row.data.error) continue;
        const number = row.data.maps.findIndex((map) => map.layer === layer);
        if (number < 0) { problems.push(say("{model} has no attention map of the layer “{layer}”.", { model: row.data.asked, layer })); continue; }
        row.layer = explorer.maps.layersOf(row.data.maps).findIndex(({ numbers }) => numbers.includes(number));
        row.part = row.data.maps[number].part;
        row.head = head === undefined ? -1 : Number(head);
      }
      if (problems.length) explorer.tell("unrestored", problems);
    };
    explorer.state.keep("layers", layersNow, (value) => {
      wanted = { ...value };
      chooseLayers();
      soon();
      return "";
    });
    /** For each model the number of the map and of the head that are looked at; null for none, and for the mean. */
    explorer.looked = () => ({ layers: looked(), heads: shownRows().map((row) => (row.head < 0 ? null : row.head)) });
    const looked = () => shownRows().map((row) => row.map);

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
          row.answer = now.answer;
          row.layer = row.part = null;
        }
        row.element.classList.toggle("waiting", !row.data);
        if (row.data) present(row);
      });
      foot.replaceChildren(explorer.chosen.add);
      arrange();
      mark();
      soon();
    };

    const receive = async (text) => {
      if (typeof text !== "string" || !text) return;
      const next = JSON.parse(text);
      next.blob = explorer.bytes(next.blob);
      if (next.gone && !explorer.question.get().scene && explorer.question.get().picture === next.lost) {
        explorer.question.set({ picture: next.at.picture }, false);
        explorer.tell("notice", say(next.gone));
      }
      if (worth(next, false) < Math.max(worth(now.answer, true), worth(coming, false))) return; // a late one
      coming = next;
      const loaded = await Promise.all(next.images.map(explorer.panels.picture));
      if (coming !== next) return; // another answer has come meanwhile
      coming = null;
      now.answer = next;
      now.images = loaded;
      if (next.models[0] === explorer.chosen.models()[0]) explorer.tell("frame", next.frame);
      explorer.chosen.models().forEach((name, index) => {
        const own = next.rows[index];
        const data = own && own.asked === name ? own : next.rows.find((one) => one.asked === name);
        if (data) { rows[index].data = data; rows[index].answer = next; present(rows[index]); }
      });
      chooseLayers();
      write(status, next.identity ? say("Not moved.") : say("Moved: {move}.", { move: next.transform }));
      const lines = next.notes.map((line) => say(line));
      if (next.rows.some((row) => row.state === "random")) lines.push(say(UNTRAINED));
      write(notes, lines.join(" "));
      arrange();
      // Numbers that are still missing were asked for already: another answer is under way.
      draw();
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
        if (now.answer && hovered && explorer.question.isAnsweredBy(now.answer) && (!now.bank || now.bank.key !== now.answer.key || !looked().every(inBank))) {
          explorer.question.set({}, false); // tells which layers are looked at
          trigger("settled");
        }
      }, SETTLED_MS);
    };
    const inBank = (number, index) => {
      const row = now.answer.rows[index];
      if (number === null || !row || row.error || !row.maps[number] || row.maps[number].kind !== "pairwise") return true;
      return now.bank.tried.has(`${index} ${number}`) || Boolean(now.bank.rows[index].maps[number]);
    };

    /** Ask from a place of the moved picture, `move` null for one of the picture as it was. */
    explorer.askFrom = (move, place, event) => {
      const stays = explorer.question.get().pin === "place";
      const before = move && !stays ? explorer.maps.backward(move, place) : place;
      if (!before) {
        write(status, say(explorer.question.get().scene ? "That place is none of the object's before the move." : "That place shows the border, not the picture."));
      } else if (event && event.shiftKey) explorer.addPin(before);
      else explorer.tell("ask", before);
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
      next.tried = new Set(next.layers.map((number, index) => `${index} ${number}`));
      now.bank = next;
      root.dataset.bank = next.key;
      if (!now.answer.complete) soon();
    });
    explorer.hear("ask", (place) => {
      explorer.question.ask(place);
      explorer.tell("pins");
    });
    // Drawn from the bank where it reaches; where it does not, redraw asks the server.
    explorer.hear("pins", redraw);
    explorer.hear("looked", settle);
    // What is shown follows the pointer at once, its answers when they come.
    explorer.hear("asked", () => {
      mark();
      if (list.classList.contains("alike") || now.look.view !== "after") return;
      for (const row of live()) showSeen(row, row.data, now.images);
    });
    explorer.hear("models", mount);
    explorer.hear("revealed", () => { for (const row of live()) present(row); });
    new ResizeObserver(([{ contentRect }]) => { width = contentRect.width; soon(); }).observe(list);
    explorer.hear("resized", soon);

    const begin = () => {
      if (!explorer.chosen || !explorer.question) { setTimeout(begin, 10); return; }
      width = list.clientWidth;
      mount(explorer.chosen.models());
      // The page comes with the answers of its first view, unless a link asks for another.
      explorer.given = Boolean(props.value) && !explorer.link.asks();
      if (explorer.given) receive(props.value);
      watch("value", () => receive(props.value));
    };
    begin();
  };

  /** Receives whole matrices; shown nowhere. */
  explorer.bank = ({ props, watch }) => {
    watch("value", () => { if (typeof props.value === "string" && props.value) explorer.tell("bank", props.value); });
  };
})();
