// The answers: a row a model, drawn on canvases from raw numbers that were sent once.
"use strict";
(() => {
  const { explorer } = window;
  const { make, write, digits, numbers } = explorer;
  const SETTLED_MS = 250;
  const DRAG_PX = 4;
  const UNTRAINED = "Models marked random have learnt nothing: their maps show the architecture only. Choose “pretrained” to fetch learnt weights from the Hugging Face hub.";
  const VIEWS = {
    attention: [["after", "moved"], ["before", "unmoved"]],
    attribution: [["after", "moved"], ["before", "unmoved"], ["pulled", "pulled back"], ["difference", "difference"]],
  };

  let answer = null; // the present answer, its blob decoded
  let bank = null; // whole matrices of an answer
  const look = { attention: "after", attribution: "after", overlay: true, opacity: 0.7, smooth: false, token: false };

  const clampShare = (value) => Math.min(Math.max(value, 0), 1 - 1e-9);
  const inside = ({ x, y }) => x >= 0 && x < 1 && y >= 0 && y < 1;

  /** Where a place of the picture is after the move, in shares of the frame; null once it has left it. */
  const forward = ({ linear, offset, cyclic }, { x, y }) => {
    const place = {
      x: linear[0][0] * x + linear[0][1] * y + offset[0],
      y: linear[1][0] * x + linear[1][1] * y + offset[1],
    };
    if (cyclic) { place.x -= Math.floor(place.x); place.y -= Math.floor(place.y); }
    return inside(place) ? place : null;
  };
  const backward = ({ linear: [[a, b], [c, d]], offset, cyclic }, place) => {
    const [x, y] = [place.x - offset[0], place.y - offset[1]];
    const determinant = a * d - b * c;
    const back = { x: (d * x - b * y) / determinant, y: (a * y - c * x) / determinant };
    if (cyclic) { back.x -= Math.floor(back.x); back.y -= Math.floor(back.y); }
    return inside(back) ? back : null;
  };

  const cell = ({ x, y }, [rows, columns]) =>
    Math.floor(clampShare(y) * rows) * columns + Math.floor(clampShare(x) * columns);

  const query = () => explorer.question.get().query;

  // ---- rows of attention -------------------------------------------------------------------------------------------

  /** Name of the token that asks in this map: "point", or a prefix token where that is wanted and there. */
  const asker = (map) => (look.token && map.prefix.length ? map.prefix[0] : "point");

  /** The rows of every head of one map in one frame: {values, heads, prefix, mean}, or null where they are not here. */
  const rowsOf = (row, number, when) => {
    const map = row.maps[number];
    const name = asker(map);
    const index = when === "before" ? 0 : 1;
    const late = bank && bank.key === answer.key ? bank.rows[answer.rows.indexOf(row)].maps[number] : null;
    const here = query();
    const same = name !== "point" || !map.query_grid || cell(here, map.query_grid) === cell(answer.query, map.query_grid);
    if (same) {
      if (late && late.rows && late.rows[name]) {
        const reference = late.rows[name][index];
        if (reference) return { values: numbers(bank.blob, reference), heads: reference.s[0], prefix: reference.prefix };
      }
      const reference = map.rows[name] && map.rows[name][index];
      if (!reference) return null;
      return { values: numbers(answer.blob, reference), heads: reference.s[0], prefix: reference.prefix, mean: reference.s[0] < map.heads };
    }
    const place = when === "before" ? here : forward(row.move, here);
    if (!place) return null;
    if (!late || !late.weights || (when === "before" && !answer.identity)) return undefined;
    return banked(map, late, place);
  };

  const banked = (map, { weights, keys, queries }, place) => {
    const wanted = cell(place, map.query_grid);
    const [, heads, count, width] = weights.s;
    const table = numbers(bank.blob, queries);
    const keyGroups = keys.s[0];
    const cells = map.grid[0] * map.grid[1];
    const values = new Float32Array(heads * cells);
    let prefix = 0;
    let found = false;
    // A place that several groups ask from has the sum of their rows.
    for (let at = table.indexOf(wanted); at >= 0; at = table.indexOf(wanted, at + 1)) {
      found = true;
      const group = Math.floor(at / count);
      const position = at % count;
      const code = numbers(bank.blob, keys, keyGroups > 1 ? group * width : 0, width);
      for (let head = 0; head < heads; head++) {
        const row = numbers(bank.blob, weights, ((group * heads + head) * count + position) * width, width);
        for (let i = 0; i < width; i++) {
          if (code[i] >= 0) values[head * cells + code[i]] += row[i];
          else if (code[i] <= -2) prefix += row[i] / heads;
        }
      }
    }
    if (!found) return null;
    return { values, heads, prefix: map.prefix.length ? prefix : undefined };
  };

  /** One head, or the mean of all for head -1. */
  const headOf = ({ values, heads }, cells, head) => {
    if (head >= 0 && head < heads) return values.subarray(head * cells, (head + 1) * cells);
    const mean = new Float32Array(cells);
    for (let i = 0; i < values.length; i++) mean[i % cells] += values[i] / heads;
    return mean;
  };

  // ---- pictures ----------------------------------------------------------------------------------------------------

  const pictures = new Map(); // data URI -> {colour, grey}
  const picture = async (uri) => {
    if (!pictures.has(uri)) {
      const colour = new Image();
      colour.src = uri;
      await colour.decode();
      const grey = document.createElement("canvas");
      grey.width = colour.naturalWidth;
      grey.height = colour.naturalHeight;
      const context = grey.getContext("2d", { willReadFrequently: true });
      context.drawImage(colour, 0, 0);
      const pixels = context.getImageData(0, 0, grey.width, grey.height);
      for (let i = 0; i < pixels.data.length; i += 4) {
        const level = 0.2126 * pixels.data[i] + 0.7152 * pixels.data[i + 1] + 0.0722 * pixels.data[i + 2];
        pixels.data[i] = pixels.data[i + 1] = pixels.data[i + 2] = level;
      }
      context.putImageData(pixels, 0, 0);
      pictures.set(uri, { colour, grey });
      if (pictures.size > 24) pictures.delete(pictures.keys().next().value);
    }
    return pictures.get(uri);
  };

  const fit = (canvas, [height, width]) => {
    const across = Math.max(1, Math.round(canvas.clientWidth * Math.min(window.devicePixelRatio || 1, 2)));
    const down = Math.max(1, Math.round((across * height) / width));
    if (canvas.width !== across || canvas.height !== down) {
      canvas.width = across;
      canvas.height = down;
    }
    canvas.style.aspectRatio = `${width} / ${height}`;
    return canvas.getContext("2d");
  };

  const cross = (context, place, colour) => {
    const { width, height } = context.canvas;
    const scale = Math.min(window.devicePixelRatio || 1, 2);
    const [x, y, radius] = [place.x * width, place.y * height, 7 * scale];
    for (const [stroke, thick] of [["rgb(0 0 0 / 70%)", 4], [colour, 2]]) {
      context.strokeStyle = stroke;
      context.lineWidth = thick * scale;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      for (const [across, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + across * radius * 0.55, y + down * radius * 0.55);
        context.lineTo(x + across * radius * 1.6, y + down * radius * 1.6);
      }
      context.stroke();
    }
  };

  // ---- a panel with a map ------------------------------------------------------------------------------------------

  const panel = (name, title) => {
    const canvas = make("canvas", { role: "img", tabindex: 0, "aria-label": title });
    const blank = make("p", { class: "blank", hidden: true });
    const low = make("span");
    const high = make("span");
    const strip = make("span", { class: "strip", "aria-hidden": "true" });
    const unit = make("span", { class: "unit" });
    const scale = make("div", { class: "scale" }, low, strip, high);
    const reading = make("p", { class: "reading" });
    const about = make("p", { class: "about" });
    const badge = make("span", { class: "badge" });
    const note = make("p", { class: "note", hidden: true });
    const where = make("span", { class: "where" });
    const element = make("figure", { class: `panel ${name}` },
      make("figcaption", {}, make("span", { class: "title", text: title }), where, badge),
      make("div", { class: "frame" }, canvas, blank), scale, unit, reading, about, note);
    return { element, canvas, blank, low, high, strip, unit, scale, reading, where, about, badge, note, shown: null };
  };

  const showBlank = (part, text) => {
    write(part.blank, text);
    part.blank.hidden = !text;
    part.canvas.hidden = Boolean(text);
    part.scale.hidden = part.unit.hidden = part.reading.hidden = Boolean(text);
    if (text) part.shown = null;
  };

  const showBadge = (badge, state, title) => {
    badge.hidden = !state;
    badge.className = `badge ${state || ""}`;
    write(badge, state || "");
    badge.title = title || "";
  };

  /** Draw a map: {values, rows, columns, range, valid} over a picture, and say what its numbers are. */
  const paint = (part, map, size, under, { mark, colour, unit, words }) => {
    showBlank(part, "");
    const context = fit(part.canvas, size);
    const { width, height } = context.canvas;
    context.imageSmoothingEnabled = true;
    context.globalAlpha = 1;
    context.clearRect(0, 0, width, height);
    const cells = explorer.coloured(map.values, map.rows, map.columns, map.range, map.valid);
    if (under && look.overlay) {
      context.drawImage(under.grey, 0, 0, width, height);
      context.globalAlpha = look.opacity;
    }
    context.imageSmoothingEnabled = look.smooth;
    context.drawImage(cells, 0, 0, width, height);
    context.globalAlpha = 1;
    if (mark) cross(context, mark, colour);
    write(part.low, digits(map.range.low));
    write(part.high, digits(map.range.high));
    part.strip.style.background = explorer.gradient(map.range.map);
    write(part.unit, unit);
    part.shown = { ...map, unit };
    const summary = summarise(map);
    write(part.reading, summary);
    part.rest = summary;
    part.canvas.setAttribute("aria-label", `${words}. ${summary}. Unit: ${unit}`);
  };

  const summarise = ({ values, rows, columns, valid, signed }) => {
    let best = -1;
    for (let i = 0; i < rows * columns; i++) {
      if (valid && !valid[i]) continue;
      if (best < 0 || values[i] > values[best]) best = i;
    }
    if (best < 0) return "the moved picture shows nothing of the frame";
    return `${signed ? "highest" : "largest"} ${digits(values[best])} (row ${Math.floor(best / columns) + 1}, column ${(best % columns) + 1})`;
  };

  const read = (part, event) => {
    const { shown } = part;
    if (!shown) return;
    const box = part.canvas.getBoundingClientRect();
    const column = Math.min(shown.columns - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * shown.columns)));
    const row = Math.min(shown.rows - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * shown.rows)));
    const at = row * shown.columns + column;
    const value = shown.valid && !shown.valid[at] ? "not in the moved picture" : digits(shown.values[at]);
    write(part.reading, `row ${row + 1}, column ${column + 1}: ${value}`);
  };

  // ---- one model's row ---------------------------------------------------------------------------------------------

  const slider = (label) => {
    const input = make("input", { type: "range", min: 0, step: 1 });
    const output = make("output");
    return { input, output, element: make("label", { class: "dial" }, make("span", { text: label }), input, output) };
  };

  const makeRow = (index, redraw) => {
    const row = { index, layer: null, head: -1 };
    row.badge = make("span", { class: "badge" });
    row.device = make("span", { class: "device" });
    row.headline = make("header", {});
    row.notes = make("ul", { class: "notes" });
    row.problem = make("p", { class: "problem", role: "alert", hidden: true });
    row.seen = panel("seen", "Seen");
    row.top = make("ol", { class: "top" });
    row.topReason = make("p", { class: "blank" });
    row.attention = panel("attention", "Attention");
    row.attribution = panel("attribution", "Attribution");
    row.layerDial = slider("Layer");
    row.headDial = slider("Head");
    row.layerDial.input.setAttribute("aria-label", `Layer of model ${index + 1}`);
    row.headDial.input.setAttribute("aria-label", `Head of model ${index + 1}`);
    row.layerDial.input.addEventListener("input", () => { row.layer = Number(row.layerDial.input.value); redraw(row); });
    row.headDial.input.addEventListener("input", () => { row.head = Number(row.headDial.input.value) - 1; redraw(row); });
    row.dials = make("div", { class: "dials" }, row.layerDial.element, row.headDial.element);
    row.attention.element.append(row.dials);
    row.compute = make("button", { type: "button", class: "main", text: "Compute", hidden: true, onclick: () => explorer.compute() });
    row.attribution.blank.after(row.compute);
    row.panels = make("div", { class: "panels" },
      row.seen.element,
      make("section", { class: "panel answers" }, make("h3", { class: "title", text: "Answer" }), row.topReason, row.top,
        make("p", { class: "key" }, make("span", { class: "swatch solid" }), "now", make("span", { class: "swatch thin" }), "before the move")),
      row.attention.element, row.attribution.element);
    row.element = make("article", { class: "model" }, row.headline, row.problem, row.notes, row.panels);
    row.element.style.setProperty("--model", explorer.chosen.colour(index));
    for (const part of [row.seen, row.attention, row.attribution]) pointing(part, row, redraw);
    return row;
  };

  /** Which frame a panel shows: the picture before the move, or after. */
  const frameOf = (part, row) => {
    if (part === row.seen) return "after";
    return look[part === row.attention ? "attention" : "attribution"] === "after" ? "after" : "before";
  };

  const pointing = (part, row, redraw) => {
    const { canvas } = part;
    let start = null;
    const share = (event) => {
      const box = canvas.getBoundingClientRect();
      return { x: clampShare((event.clientX - box.left) / box.width), y: clampShare((event.clientY - box.top) / box.height) };
    };
    const ask = (place) => {
      if (!row.data) return;
      const before = frameOf(part, row) === "after" ? backward(row.data.move, place) : place;
      if (!before) { explorer.tell("status", "That place shows the border, not the picture."); return; }
      explorer.tell("ask", before);
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const { dx, dy } = explorer.question.get();
      start = { x: event.clientX, y: event.clientY, dx, dy, moved: false };
      if (part === row.seen) canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (part !== row.seen) read(part, event);
      explorer.tell("hover");
      if (!start || part !== row.seen || !answer) return;
      const [across, down] = [event.clientX - start.x, event.clientY - start.y];
      if (!start.moved && Math.hypot(across, down) < DRAG_PX) return;
      start.moved = true;
      const box = canvas.getBoundingClientRect();
      explorer.question.set({
        dx: Math.round(start.dx + (across / box.width) * answer.frame[1]),
        dy: Math.round(start.dy + (down / box.height) * answer.frame[0]),
      });
    });
    canvas.addEventListener("pointerup", (event) => {
      if (start && !start.moved) ask(share(event));
      start = null;
    });
    canvas.addEventListener("pointercancel", () => { start = null; });
    canvas.addEventListener("pointerleave", () => { if (part.rest) write(part.reading, part.rest); });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step || !answer) return;
      event.preventDefault();
      const { x, y } = query();
      const [across, down] = [step[0] * 8 / answer.frame[1], step[1] * 8 / answer.frame[0]];
      explorer.tell("ask", { x: clampShare(x + across), y: clampShare(y + down) });
    });
    void redraw;
  };

  const showTop = (row, data) => {
    const [before, after] = data.predictions;
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
      const [label, share, track] = row.top.children[rank].children;
      const percent = (p) => (p === null ? "not a number" : p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`);
      write(label, one.label);
      write(share, percent(one.p));
      track.children[0].style.width = `${100 * one.p}%`;
      const earlier = was.get(one.index);
      track.children[1].hidden = earlier === undefined || answer.identity;
      if (earlier !== undefined) track.children[1].style.width = `${100 * earlier}%`;
      row.top.children[rank].title = answer.identity ? one.label
        : `${one.label}: now ${percent(one.p)}, before the move ${earlier === undefined ? `not among the first five (at most ${percent(least)})` : percent(earlier)}`;
    });
    row.panels.querySelector(".key").hidden = answer.identity || !after.top.length;
  };

  const showAttention = (row, data, images) => {
    const part = row.attention;
    row.dials.hidden = !data.maps.length;
    if (!data.maps.length) {
      showBlank(part, "This model computes no attention. What its answer rests on is beside.");
      write(part.where, "");
      write(part.about, "");
      showBadge(part.badge);
      part.note.hidden = true;
      return true;
    }
    if (row.layer === null || row.layer >= data.maps.length) row.layer = data.maps.length - 1;
    const map = data.maps[row.layer];
    if (row.head >= map.heads) row.head = -1;
    const when = look.attention;
    row.layerDial.input.max = data.maps.length - 1;
    row.layerDial.input.value = row.layer;
    row.layerDial.input.disabled = data.maps.length < 2;
    write(row.layerDial.output, `${row.layer + 1} of ${data.maps.length}`);
    row.headDial.input.max = map.heads;
    row.headDial.input.value = row.head + 1;
    row.headDial.input.disabled = map.heads < 2;
    write(row.headDial.output, row.head < 0 ? `mean of ${map.heads}` : `${row.head + 1} of ${map.heads}`);
    showBadge(part.badge, map.state, map.state_title);
    const token = asker(map);
    const from = !map.query_grid ? "" : token === "point" ? "" : `, asked by the ${token} token`;
    write(part.where, map.layer);
    part.where.title = `${map.layer} (${map.mechanism}), layout: ${map.layout || "none"}${map.grid ? `, ${map.grid[0]} × ${map.grid[1]} cells` : ""}`;
    write(part.about, from ? `asked by the ${token} token` : "");
    const unit = !map.unit || map.unit === map.kind_title ? map.kind_title
      : map.unit.startsWith(map.kind_title.split(/[ ,]/)[0]) ? map.unit : `${map.kind_title}; ${map.unit}`;
    const lines = [map.note];
    const index = when === "before" ? 0 : 1;

    if (!map.grid) {
      const reference = map.rows.matrix[Math.min(index, map.rows.matrix.length - 1)];
      const [heads, rows, columns] = reference.s;
      const all = map.rows.matrix.map((one) => headOf({ values: numbers(answer.blob, one), heads }, rows * columns, row.head));
      const values = all[Math.min(index, all.length - 1)];
      const range = explorer.range(all);
      if (reference.step > 1) lines.push(`Shown as means of ${reference.step} × ${reference.step} of its ${reference.full[0]} × ${reference.full[1]} entries.`);
      if (reference.groups > 1) lines.push(`The first of ${reference.groups} groups is shown.`);
      paint(part, { values, rows, columns, range, valid: null }, rows === 1 ? [1, 4] : [rows, columns], null, {
        unit,
        words: `Matrix of ${map.layer}, no picture of the image`,
      });
    } else {
      const cells = map.grid[0] * map.grid[1];
      const both = ["before", "after"].map((one) => rowsOf(data, row.layer, one));
      const found = both[index];
      if (found === undefined) { row.missing = true; return false; }
      if (found === null) {
        const left = token === "point" && when === "after" && !forward(data.move, query());
        showBlank(part, left ? "The place asked from has left the picture. Click another, or move it back." : "This layer has no query at this place.");
      } else {
        if (found.mean && row.head >= 0) lines.push("While it moves: the mean of all heads.");
        const values = headOf(found, cells, row.head);
        const range = map.kind === "gate" ? explorer.range([], [0, 1])
          : explorer.range(both.filter(Boolean).map((one) => headOf(one, cells, row.head)));
        if (found.prefix !== undefined) lines.push(`${(100 * found.prefix).toFixed(1)} % more on the ${map.prefix.length > 1 ? `${map.prefix.length} prefix tokens` : `${map.prefix[0]} token`}.`);
        const place = when === "before" ? query() : forward(data.move, query());
        paint(part, { values, rows: map.grid[0], columns: map.grid[1], range, valid: null }, data.size, images[data.images[index]], {
          mark: map.query_grid && token === "point" ? place : null,
          colour: "white",
          unit,
          words: `Attention of ${map.layer}, ${row.head < 0 ? `mean of ${map.heads} heads` : `head ${row.head + 1}`}${from}, ${map.kind_title}, weights ${map.state}`,
        });
      }
    }
    const text = lines.filter(Boolean).join(" ");
    write(part.note, text);
    part.note.hidden = !text;
    return true;
  };

  const showAttribution = (row, data, images) => {
    const part = row.attribution;
    const found = data.attribution;
    row.compute.hidden = true;
    if (!found.after) {
      const press = found.why === "press" && !data.notes.some((note) => note.startsWith(`${answer.method}:`));
      showBlank(part, press ? "This method takes many passes through the network, so it does not follow the drag." : "This method cannot serve this model; the line above says why.");
      row.compute.hidden = !press;
      write(part.where, "");
      write(part.about, "");
      showBadge(part.badge);
      part.note.hidden = true;
      return;
    }
    const when = look.attribution;
    const arrays = Object.fromEntries(["before", "after", "pulled", "difference"].map((name) => [name, numbers(answer.blob, found[name])]));
    const reference = found[when];
    const [rows, columns] = reference.s;
    const range = when === "difference" ? explorer.range([arrays.difference]) : explorer.range([arrays.before, arrays.after]);
    if (when === "difference" && range.map === "sequential") { range.map = "diverging"; range.low = -range.high; }
    const valid = when === "pulled" || when === "difference" ? numbers(answer.blob, found.valid) : null;
    const under = images[data.images[when === "after" ? 1 : 0]];
    showBadge(part.badge, found.state, found.state_title);
    write(part.where, found.layer || "input");
    part.where.title = `${found.method} at ${found.layer || "the input"}, ${rows} × ${columns} cells`;
    write(part.about, `${explorer.methodName(found.method)} for ${found.target}`);
    const lines = [found.note];
    const delta = found.delta[when === "before" ? 0 : 1];
    if (delta !== null) lines.push(`Convergence delta ${digits(delta)}.`);
    if (when === "difference") lines.push("Pulled back minus unmoved; places the moved picture does not show are left out.");
    write(part.note, lines.filter(Boolean).join(" "));
    part.note.hidden = !lines.some(Boolean);
    paint(part, { values: arrays[when], rows, columns, range, valid, signed: range.map === "diverging" }, data.size, under, {
      unit: found.unit || "attribution",
      words: `Attribution by ${found.method} for ${found.target}, ${VIEWS.attribution.find(([name]) => name === when)[1]}`,
    });
  };

  const showSeen = (row, data, images) => {
    const part = row.seen;
    showBlank(part, "");
    part.scale.hidden = part.unit.hidden = true;
    const context = fit(part.canvas, data.size);
    context.imageSmoothingEnabled = true;
    context.drawImage(images[data.images[1]].colour, 0, 0, context.canvas.width, context.canvas.height);
    const place = forward(data.move, query());
    if (place) cross(context, place, "white");
    const [height, width] = data.size;
    // What lies on a pixel's edge but for rounding belongs to the pixel that begins there.
    const at = (point) => `(${Math.floor(point.x * width + 1e-6)}, ${Math.floor(point.y * height + 1e-6)})`;
    write(part.reading, place ? `asked from ${at(place)} px` : "the place asked from has left the picture");
    write(part.where, `${width} × ${height} px`);
    write(part.about, answer.identity ? "" : answer.transform);
    showBadge(part.badge);
    part.canvas.setAttribute("aria-label", `What ${data.spec} sees: ${width} by ${height} pixels, ${answer.transform}. Asked from ${place ? at(place) : "a place that has left the picture"}.`);
  };

  // ---- the whole ---------------------------------------------------------------------------------------------------

  const choice = (label, name, redraw) => {
    const buttons = VIEWS[name].map(([value, title]) => make("button", {
      type: "button", text: title, "aria-pressed": String(look[name] === value), "data-value": value,
      onclick: () => {
        look[name] = value;
        for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.value === value));
        redraw();
      },
    }));
    return make("div", { class: "choice", role: "group", "aria-label": label }, make("span", { text: label }), ...buttons);
  };

  const check = (label, name, redraw, title) => make("label", { class: "check", title },
    make("input", { type: "checkbox", checked: look[name], onchange: (event) => { look[name] = event.target.checked; redraw(); } }), label);

  explorer.stage = ({ element, trigger, props, watch }) => {
    const root = element.querySelector(".part");
    explorer.palettes(props.options.palettes);
    const rows = [];
    let timer = null;
    let hovered = false;
    let images = [];
    let painting = 0;

    const drawRow = (row) => {
      const data = row.data;
      if (!answer || !data || data.error) return;
      row.missing = false;
      showSeen(row, data, images);
      showAttention(row, data, images);
      showAttribution(row, data, images);
    };
    /** Draw again what is here; ask the server only for numbers that are not. */
    const redraw = (only = null) => {
      const drawn = only ? [only] : shownRows();
      drawn.forEach(drawRow);
      if (drawn.some((row) => row.missing)) explorer.question.set({}, true);
    };
    const shownRows = () => rows.slice(0, explorer.chosen.models().length);
    let frame = 0;
    const soon = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => redraw());
    };

    const status = make("p", { class: "status", role: "status" });
    const opacity = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: look.opacity, "aria-label": "Opacity of the overlay" });
    opacity.addEventListener("input", () => { look.opacity = Number(opacity.value); soon(); });
    const toolbar = make("div", { class: "toolbar", role: "toolbar", "aria-label": "How maps are shown" },
      choice("Attention", "attention", soon), choice("Attribution", "attribution", soon),
      make("div", { class: "choice" }, check("overlay", "overlay", soon, "lay the maps over the picture in grey"), opacity),
      check("smooth", "smooth", soon, "blend neighbouring cells; the cells are what was computed"),
      check("class token asks", "token", soon, "show what the class token attends to, in models that have one"));
    const list = make("div", { class: "rows" });
    const notes = make("ul", { class: "notes picture-notes" });
    const foot = make("div", { class: "foot" });
    root.replaceChildren(toolbar, status, notes, list, foot);

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
          row.data = answer ? answer.rows.find((one) => one.asked === text) || null : null;
        }
        row.element.classList.toggle("waiting", !row.data);
        if (row.data) present(row);
      });
      foot.replaceChildren(explorer.chosen.add);
      soon();
    };

    const present = (row) => {
      const { data } = row;
      row.element.classList.remove("waiting");
      row.element.classList.toggle("failed", Boolean(data.error));
      row.problem.hidden = !data.error;
      write(row.problem, data.error || "");
      if (data.error) {
        showBadge(row.badge);
        write(row.device, "");
        row.notes.replaceChildren();
        return;
      }
      showBadge(row.badge, data.state, data.state_title);
      write(row.device, data.device);
      const lines = [...data.notes];
      if (row.notes.textContent !== lines.join("")) row.notes.replaceChildren(...lines.map((text) => make("li", { text })));
      showTop(row, data);
    };

    const receive = async (text) => {
      if (typeof text !== "string" || !text) return;
      const mine = ++painting;
      const next = JSON.parse(text);
      next.blob = explorer.bytes(next.blob);
      const loaded = await Promise.all(next.images.map(picture));
      if (mine !== painting) return; // a later answer has come meanwhile
      answer = next;
      images = loaded;
      explorer.tell("frame", answer.frame);
      const models = explorer.chosen.models();
      models.forEach((name, index) => {
        const data = answer.rows[index] && answer.rows[index].asked === name
          ? answer.rows[index] : answer.rows.find((one) => one.asked === name);
        if (data) { rows[index].data = data; present(rows[index]); }
      });
      write(status, answer.identity ? "" : `Moved: ${answer.transform}`);
      const lines = [...answer.notes];
      if (answer.rows.some((row) => row.state === "random")) lines.push(UNTRAINED);
      notes.replaceChildren(...lines.map((note) => make("li", { text: note })));
      // Numbers that are still missing were asked for already: another answer is under way.
      shownRows().forEach(drawRow);
      root.dataset.key = answer.key;
      root.dataset.transform = answer.transform;
      root.dataset.painted = String(performance.now());
      settle();
    };

    /** Once nothing has moved for a while and somebody is about to ask, fetch what makes asking instant. */
    const settle = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (answer && hovered && (!bank || bank.key !== answer.key)) trigger("settled");
      }, SETTLED_MS);
    };

    explorer.hear("hover", () => {
      if (hovered) return;
      hovered = true;
      settle();
    });
    explorer.hear("bank", (text) => {
      const next = JSON.parse(text);
      if (!answer || next.key !== answer.key) return;
      next.blob = explorer.bytes(next.blob);
      bank = next;
      root.dataset.bank = bank.key;
      if (!answer.complete) soon();
    });
    explorer.hear("ask", (place) => {
      explorer.question.set({ query: place }, false);
      // Drawn from the bank where it reaches; where it does not, redraw asks the server.
      redraw();
    });
    explorer.hear("query", soon);
    explorer.hear("models", mount);
    explorer.hear("status", (text) => write(status, text));
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
