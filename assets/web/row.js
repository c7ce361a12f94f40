// One model's row: what it sees, what it answers, what it attends to, what its answer rests on.
"use strict";
(() => {
  const { explorer } = window;
  const { make, write, digits, numbers } = explorer;
  const { panel, blank, badge, note, paint, fit, fill, cross, read } = explorer.panels;
  const { forward, askedFrom, asker, rowsOf, headOf, layersOf, reach } = explorer.maps;
  const { now } = explorer;
  //: States of weights that a map has to be marked with; others stand at the head of the row.
  const UNTRAINED = ["random", "identity-init"];
  const NO_MAP = "no attention map: ";
  const VIEWS = { after: "moved", before: "unmoved", pulled: "pulled back", difference: "difference" };

  const slider = (label, name, changed) => {
    const input = make("input", { type: "range", min: 0, step: 1, "aria-label": name, oninput: () => changed(Number(input.value)) });
    const output = make("output");
    const element = make("label", { class: "dial" }, make("span", { text: label }), input, output);
    const show = (value, most, text) => {
      input.max = most;
      input.value = value;
      input.disabled = most < 1;
      element.hidden = most < 1;
      write(output, text);
    };
    return { element, show };
  };

  const makeRow = (index, redraw) => {
    const row = { index, layer: null, part: null, head: -1 };
    row.badge = make("span", { class: "badge" });
    row.device = make("span", { class: "device" });
    row.headline = make("header", {});
    row.notes = make("ul", { class: "notes" });
    row.problem = make("p", { class: "problem", role: "alert", hidden: true });
    row.seen = panel("seen", "Seen");
    row.top = make("ol", { class: "top" });
    row.topReason = make("p", { class: "blank" });
    row.key = make("p", { class: "key" }, make("span", { class: "swatch solid" }), "now", make("span", { class: "swatch thin" }), "before");
    row.attention = panel("attention", "Attention");
    row.attribution = panel("attribution", "Attribution");
    explorer.hear("layer", ({ model, path }) => {
      const data = model === index && now.answer && now.answer.rows[index];
      const found = data && data.maps ? layersOf(data.maps).findIndex(({ module }) => path === module || path.startsWith(`${module} (`)) : -1;
      if (found < 0) return;
      row.layer = found;
      redraw(row);
    });
    row.layerDial = slider("Layer", `Layer of model ${index + 1}`, (value) => { row.layer = value; redraw(row); });
    row.headDial = slider("Head", `Head of model ${index + 1}`, (value) => { row.head = value - 1; redraw(row); });
    row.parts = make("select", { "aria-label": `Part of the map of model ${index + 1}`, onchange: () => { row.part = row.parts.value; redraw(row); } });
    row.partDial = make("label", { class: "dial" }, make("span", { text: "Map" }), row.parts);
    row.attention.element.append(make("div", { class: "dials" }, row.layerDial.element, row.partDial, row.headDial.element));
    row.compute = make("button", { type: "button", class: "main", text: "Compute", hidden: true, onclick: () => explorer.compute() });
    row.attribution.blank.after(row.compute);
    row.panels = make("div", { class: "panels" },
      row.seen.element,
      make("section", { class: "panel answers" }, make("h3", { class: "title", text: "Answer" }), row.topReason, row.top, row.key),
      row.attention.element, row.attribution.element);
    row.element = make("article", { class: "model" }, row.headline, row.problem, row.notes, row.panels);
    row.element.style.setProperty("--model", explorer.chosen.colour(index));
    const views = [[row.seen, () => "after"], [row.attention, () => now.look.attention], [row.attribution, () => now.look.attribution]];
    for (const [part, view] of views) {
      const moved = () => view() === "after";
      explorer.steer(part.canvas, {
        movable: moved,
        hover: (event) => {
          if (part !== row.seen) read(part, event);
          explorer.tell("hover");
        },
        ask: (place) => { if (row.data) explorer.askFrom(moved() ? moveOf(row.data) : null, place); },
      });
      part.canvas.addEventListener("pointerleave", () => { if (part.rest) write(part.reading, part.rest); });
    }
    return row;
  };

  /** The move as it is now: of a scene known here, of a picture as answered. */
  const moveOf = (data) => {
    const question = explorer.question.get();
    return question.scene ? explorer.scenery.moveOf(question) : data.move;
  };

  const showTop = (row) => {
    const { answer } = now;
    const [before, after] = row.data.predictions;
    write(row.topReason, after.reason);
    row.topReason.hidden = !after.reason;
    const was = new Map(before.top.map((one) => [one.index, one.p]));
    const least = before.top.length ? before.top[before.top.length - 1].p : 0;
    while (row.top.children.length > after.top.length) row.top.lastChild.remove();
    while (row.top.children.length < after.top.length) {
      row.top.append(make("li", {}, make("span", { class: "label" }), make("span", { class: "share" }),
        make("span", { class: "track" }, make("span", { class: "solid" }), make("span", { class: "thin" }))));
    }
    after.top.forEach((one, rank) => {
      const item = row.top.children[rank];
      const [label, share, track] = item.children;
      const percent = (p) => (p === null ? "not a number" : p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`);
      const right = Boolean(answer.truth) && one.label === answer.truth;
      item.classList.toggle("right", right);
      write(label, one.label);
      write(share, percent(one.p));
      track.children[0].style.width = `${100 * one.p}%`;
      const earlier = was.get(one.index);
      track.children[1].hidden = earlier === undefined || answer.identity;
      if (earlier !== undefined) track.children[1].style.width = `${100 * earlier}%`;
      item.title = (right ? "What the scene shows. " : "") + (answer.identity ? one.label
        : `${one.label}: now ${percent(one.p)}, before the move ${earlier === undefined ? `not among the first five (at most ${percent(least)})` : percent(earlier)}`);
    });
    row.key.classList.toggle("idle", answer.identity || !after.top.length);
  };

  /** The map to show: the layer's, or that part of it which is chosen; the last part says most. */
  const chooseMap = (row, data) => {
    const layers = layersOf(data.maps);
    if (row.layer === null || row.layer >= layers.length) row.layer = layers.length - 1;
    const own = layers[row.layer].numbers;
    const names = own.length > 1 ? own.map((number) => data.maps[number].part) : [];
    const wanted = names.indexOf(row.part);
    const number = own[wanted >= 0 ? wanted : own.length - 1];
    row.layerDial.show(row.layer, layers.length - 1, `${row.layer + 1} of ${layers.length}`);
    row.partDial.hidden = !names.length;
    if (row.parts.dataset.names !== names.join()) {
      row.parts.dataset.names = names.join();
      row.parts.replaceChildren(...names.map((name) => make("option", { value: name, text: name.replace(" x ", " × ") })));
    }
    row.parts.value = data.maps[number].part;
    return number;
  };

  const showAttention = (row, data, images) => {
    const part = row.attention;
    part.element.classList.toggle("mapless", !data.maps.length);
    if (!data.maps.length) {
      const why = data.notes.find((line) => line.startsWith(NO_MAP));
      blank(part, `No attention map. ${why ? why.slice(NO_MAP.length) : ""}`.trim());
      write(part.where, "");
      write(part.about, "");
      badge(part.badge);
      part.note.hidden = true;
      return true;
    }
    const number = chooseMap(row, data);
    const map = data.maps[number];
    if (row.head >= map.heads) row.head = -1;
    const when = now.look.attention;
    row.headDial.show(row.head + 1, map.heads > 1 ? map.heads : 0, row.head < 0 ? `mean of ${map.heads}` : `${row.head + 1} of ${map.heads}`);
    badge(part.badge, UNTRAINED.includes(map.state) ? map.state : "", map.state_title);
    const token = asker(map);
    const from = !map.query_grid || token === "point" ? "" : `, asked by the ${token} token`;
    write(part.where, map.layer);
    part.where.title = `${map.layer} (${map.mechanism}), layout: ${map.layout || "none"}${map.grid ? `, ${map.grid[0]} × ${map.grid[1]} cells` : ""}`;
    write(part.about, from ? `asked by the ${token} token` : "");
    const unit = !map.unit || map.unit === map.kind_title || map.kind === "axial" ? map.unit || map.kind_title
      : map.unit.startsWith(map.kind_title.split(/[ ,]/)[0]) ? map.unit : `${map.kind_title}; ${map.unit}`;
    const lines = [map.note];
    const index = when === "before" ? 0 : 1;

    if (!map.grid) {
      const reference = map.rows.matrix[Math.min(index, map.rows.matrix.length - 1)];
      const [heads, rows, columns] = reference.s;
      const all = map.rows.matrix.map((one) => headOf({ values: numbers(now.answer.blob, one), heads }, rows * columns, row.head));
      const values = all[Math.min(index, all.length - 1)];
      if (reference.step > 1) lines.push(`Shown as means of ${reference.step} × ${reference.step} of its ${reference.full[0]} × ${reference.full[1]} entries.`);
      if (reference.groups > 1) lines.push(`The first of ${reference.groups} groups is shown.`);
      paint(part, { values, rows, columns, range: explorer.range(all), valid: null }, rows === 1 ? [1, 4] : [rows, columns], null, {
        unit,
        words: `Matrix of ${map.layer}, no picture of the image`,
      });
      note(part, lines);
      return true;
    }
    const cells = map.grid[0] * map.grid[1];
    const both = ["before", "after"].map((one) => rowsOf(data, number, one));
    const found = both[index];
    if (found === undefined) { row.missing = true; return false; }
    const place = askedFrom(data, when);
    if (found === null) {
      const left = token === "point" && when === "after" && !place;
      blank(part, left ? `The place asked from ${now.answer.truth ? "moved with the object and " : ""}has left the picture. Click another, or move it back.` : "This layer has no query at this place.");
    } else {
      if (found.mean && row.head >= 0) lines.push("While it moves: the mean of all heads.");
      const values = headOf(found, cells, row.head);
      const range = map.kind === "gate" ? explorer.range([], [0, 1])
        : explorer.range(both.filter(Boolean).map((one) => headOf(one, cells, row.head)));
      if (found.prefix !== undefined) lines.push(`${(100 * found.prefix).toFixed(1)} % more on the ${map.prefix.length > 1 ? `${map.prefix.length} prefix tokens` : `${map.prefix[0]} token`}.`);
      const [rows, columns] = map.grid;
      paint(part, { values, rows, columns, range, valid: reach(map, place), outside: `not on this ${map.part}` }, data.size, images[data.images[index]], {
        mark: map.query_grid && token === "point" ? place : null,
        unit,
        words: `Attention of ${map.layer}, ${row.head < 0 ? `mean of ${map.heads} heads` : `head ${row.head + 1}`}${from}, ${map.kind_title}, weights ${map.state}`,
      });
    }
    note(part, lines);
    return true;
  };

  const showAttribution = (row, data, images) => {
    const { answer, look } = now;
    const part = row.attribution;
    const found = data.attribution;
    row.compute.hidden = true;
    if (!found.after) {
      const press = found.why === "press" && !data.notes.some((line) => line.startsWith(`${answer.method}:`));
      blank(part, press ? "This method takes many passes through the network, so it does not follow the drag." : "This method cannot serve this model; the line above says why.");
      row.compute.hidden = !press;
      write(part.where, "");
      write(part.about, "");
      badge(part.badge);
      part.note.hidden = true;
      return;
    }
    const when = look.attribution;
    const arrays = Object.fromEntries(["before", "after", "pulled", "difference"].map((name) => [name, numbers(answer.blob, found[name])]));
    const [rows, columns] = found[when].s;
    const range = when === "difference" ? explorer.range([arrays.difference]) : explorer.range([arrays.before, arrays.after]);
    if (when === "difference" && range.map === "sequential") { range.map = "diverging"; range.low = -range.high; }
    const valid = when === "pulled" || when === "difference" ? numbers(answer.blob, found.valid) : null;
    badge(part.badge, UNTRAINED.includes(found.state) ? found.state : "", found.state_title);
    write(part.where, found.layer || "input");
    part.where.title = `${found.method} at ${found.layer || "the input"}, ${rows} × ${columns} cells`;
    write(part.about, `${explorer.methodName(found.method)} for ${found.target}`);
    const lines = [found.note];
    const delta = found.delta[when === "before" ? 0 : 1];
    if (delta !== null) lines.push(`Convergence delta ${digits(delta)}.`);
    if (when === "difference") lines.push("Pulled back minus unmoved; places the moved picture does not show are left out.");
    note(part, lines);
    paint(part, { values: arrays[when], rows, columns, range, valid, outside: "not in the moved picture", signed: range.map === "diverging" },
      data.size, images[data.images[when === "after" ? 1 : 0]], {
        unit: found.unit || "attribution",
        words: `Attribution by ${found.method} for ${found.target}, ${VIEWS[when]}`,
      });
  };

  /** What the model sees; of a scene that moves on, what it is about to see. */
  const showSeen = (row, data, images) => {
    const { answer } = now;
    const question = explorer.question.get();
    const part = row.seen;
    if (row.element.parentElement.classList.contains("alike")) return;
    blank(part, "");
    part.scale.hidden = part.unit.hidden = true;
    const current = explorer.question.isAnsweredBy(answer);
    const ahead = question.scene && !current ? explorer.scenery.preview(question, data.size) : null;
    const context = fit(part.canvas, data.size);
    fill(context, ahead || images[data.images[1]].colour, Math.max(...data.size));
    const place = forward(ahead ? explorer.scenery.moveOf(question) : data.move, question.query);
    if (place) cross(context, place);
    const [height, width] = data.size;
    // What lies on a pixel's edge but for rounding belongs to the pixel that begins there.
    const at = (point) => `(${Math.floor(point.x * width + 1e-6)}, ${Math.floor(point.y * height + 1e-6)})`;
    write(part.reading, place ? `asked from ${at(place)} px` : "the place asked from has left the picture");
    write(part.where, `${width} × ${height} px`);
    write(part.about, answer.identity ? "" : answer.transform);
    badge(part.badge);
    part.canvas.setAttribute("aria-label", `What ${data.spec} sees: ${width} by ${height} pixels, ${answer.transform}. Asked from ${place ? at(place) : "a place that has left the picture"}.`);
  };

  /** Everything about a model's state and answer that is no picture. */
  const present = (row) => {
    const { data } = row;
    row.element.classList.remove("waiting");
    row.element.classList.toggle("failed", Boolean(data.error));
    row.problem.hidden = !data.error;
    write(row.problem, data.error || "");
    if (data.error) {
      badge(row.badge);
      write(row.device, "");
      row.notes.replaceChildren();
      return;
    }
    badge(row.badge, data.state, data.state_title);
    write(row.device, data.device);
    const lines = data.notes.filter((line) => !line.startsWith(NO_MAP));
    if (row.notes.textContent !== lines.join("")) row.notes.replaceChildren(...lines.map((text) => make("li", { text })));
    showTop(row);
  };

  explorer.rows = { makeRow, present, showSeen, showAttention, showAttribution, VIEWS };
})();
