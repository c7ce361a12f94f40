// One model's row: what it sees, what it answers, what it attends to, what its answer rests on.
"use strict";
(() => {
  const { explorer } = window;
  const { make, write, digits, numbers, say } = explorer;
  const { panel, blank, badge, note, paint, fit, fill, drawPins, hatchBorder, outline, read } = explorer.panels;
  const { askedFrom, asker, rowsOf, headOf, pullBack, layersOf, reach } = explorer.maps;
  const { now } = explorer;
  //: States of weights that a map has to be marked with; others stand at the head of the row.
  const UNTRAINED = ["random", "identity-init"];
  const NO_MAP = "no attention map: ";
  const STILL = { linear: [[1, 0], [0, 1]], offset: [0, 0], cyclic: false };

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
    const number = index + 1;
    const row = { index, layer: null, part: null, head: -1, map: null };
    row.badge = make("span", { class: "badge" });
    row.device = make("span", { class: "device" });
    row.headline = make("header", {});
    row.notes = make("ul", { class: "notes" });
    row.problem = make("p", { class: "problem", role: "alert", hidden: true });
    row.seen = panel("seen", say("Seen"));
    row.top = make("ol", { class: "top" });
    row.topReason = make("p", { class: "blank" });
    row.verdict = make("p", { class: "verdict" });
    row.key = make("p", { class: "key" }, make("span", { class: "swatch solid" }), say("now"), make("span", { class: "swatch thin" }), say("before"));
    row.attention = panel("attention", say("Attention"));
    row.attribution = panel("attribution", say("Attribution"));
    const choose = (change) => {
      Object.assign(row, change);
      redraw(row);
      explorer.tell("looked");
    };
    explorer.hear("layer", ({ model, path }) => {
      const data = model === index && now.answer && now.answer.rows[index];
      const found = data && data.maps ? layersOf(data.maps).findIndex(({ module }) => path === module || path.startsWith(`${module} (`)) : -1;
      if (found >= 0) choose({ layer: found });
    });
    row.layerDial = slider(say("Layer"), say("Layer of model {number}", { number }), (value) => choose({ layer: value }));
    row.headDial = slider(say("Head"), say("Head of model {number}", { number }), (value) => choose({ head: value - 1 }));
    row.parts = make("select", { "aria-label": say("Part of the map of model {number}", { number }), onchange: () => choose({ part: row.parts.value }) });
    row.partDial = make("label", { class: "dial" }, make("span", { text: say("Map") }), row.parts);
    row.others = make("div", { class: "others" });
    row.attention.element.append(row.others, make("div", { class: "dials" }, row.layerDial.element, row.partDial, row.headDial.element));
    row.compute = make("button", { type: "button", class: "main", text: say("Compute"), hidden: true, onclick: () => explorer.compute() });
    row.attribution.blank.after(row.compute);
    row.panels = make("div", { class: "panels" },
      row.seen.element,
      make("section", { class: "panel answers" }, make("h3", { class: "title", text: say("Answer") }), row.topReason, row.top, row.verdict, row.key),
      row.attention.element, row.attribution.element);
    row.element = make("article", { class: "model" }, row.headline, row.problem, row.notes, row.panels);
    row.element.style.setProperty("--model", explorer.chosen.colour(index));
    for (const part of [row.seen, row.attention, row.attribution]) {
      const moved = () => now.look.view === "after";
      explorer.steer(part.canvas, {
        movable: moved,
        hover: (event) => {
          if (part !== row.seen) read(part, event);
          explorer.tell("hover");
        },
        ask: (place, event) => { if (row.data) explorer.askFrom(moved() ? moveOf(row.data) : STILL, place, event); },
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

  const percent = (p) => (p === null ? say("not a number") : p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`);

  const showTop = (row) => {
    const { answer } = now;
    // A lesson's step asks what will happen: what tells it waits for the reveal.
    const telling = !("unrevealed" in document.documentElement.dataset);
    const [before, after] = row.data.predictions;
    const about = after.reason || after.about;
    write(row.topReason, say(about));
    row.topReason.hidden = !about;
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
      const right = telling && Boolean(answer.truth) && one.label === answer.truth;
      const name = explorer.sayClass(one.label);
      item.classList.toggle("right", right);
      write(label, name);
      write(share, percent(one.p));
      track.children[0].style.width = `${100 * one.p}%`;
      const earlier = was.get(one.index);
      track.children[1].hidden = earlier === undefined || answer.identity || !telling;
      if (earlier !== undefined) track.children[1].style.width = `${100 * earlier}%`;
      item.title = (right ? `${say("What the scene shows.")} ` : "") + (answer.identity || !telling ? name
        : say("{label}: now {now}, before the move {before}", { label: name, now: percent(one.p), before: earlier === undefined ? say("not among the first five (at most {least})", { least: percent(least) }) : percent(earlier) }));
    });
    row.key.classList.toggle("idle", answer.identity || !telling || !after.top.length);
    if (telling) showVerdict(row, before, after);
    else {
      row.element.classList.remove("kept", "lost");
      write(row.verdict, "");
    }
  };

  /** In words: whether the answer stayed, and what of the scene it goes with where its parts say different things. */
  const showVerdict = (row, before, after) => {
    const { answer } = now;
    row.element.classList.remove("kept", "lost");
    if (!after.top.length) { write(row.verdict, ""); return; }
    const lines = [];
    if (!answer.identity && before.top.length) {
      const same = before.decided.join() === after.decided.join();
      row.element.classList.add(same ? "kept" : "lost");
      lines.push(same ? say("keeps its answer") : say("changes its answer: {before} → {after}", { before: before.answer, after: after.answer }));
    }
    const { texture, background } = answer.cues;
    if (answer.truth && (texture !== answer.truth || background !== answer.truth)) {
      if (after.answer === answer.truth) lines.push(say("follows the shape"));
      else if (after.answer === texture) lines.push(say("follows the texture"));
      else if (after.answer === background) lines.push(say("follows the background"));
    }
    write(row.verdict, lines.join(" · "));
  };

  /** The map to show: the layer's, or that part of it which is chosen; the last part says most. */
  const chooseMap = (row, data) => {
    const layers = layersOf(data.maps);
    if (row.layer === null || row.layer >= layers.length) row.layer = layers.length - 1;
    const own = layers[row.layer].numbers;
    const names = own.length > 1 ? own.map((number) => data.maps[number].part) : [];
    const wanted = names.indexOf(row.part);
    const number = own[wanted >= 0 ? wanted : own.length - 1];
    row.layerDial.show(row.layer, layers.length - 1, say("{number} of {count}", { number: row.layer + 1, count: layers.length }));
    row.partDial.hidden = !names.length;
    if (row.parts.dataset.names !== names.join()) {
      row.parts.dataset.names = names.join();
      row.parts.replaceChildren(...names.map((name) => make("option", { value: name, text: say(name.replace(" x ", " × ")) })));
    }
    row.parts.value = data.maps[number].part;
    row.map = number;
    return number;
  };

  /** What a view shows of a map's two sides: {values, valid, compared}, `compared` all that has to fit one scale. */
  const viewed = (before, after, rows, columns, move) => {
    const { view } = now.look;
    if (view === "before") return before && { values: before, valid: null, compared: after ? [before, after] : [before] };
    if (!after) return null;
    if (view === "after") return { values: after, valid: null, compared: before ? [before, after] : [after] };
    const pulled = pullBack(after, rows, columns, move);
    if (view === "pulled") return { ...pulled, compared: before ? [before, after] : [after] };
    if (!before) return null;
    const values = pulled.values.map((value, at) => (pulled.valid[at] ? value - before[at] : 0));
    return { values, valid: pulled.valid, compared: [values] };
  };

  const signed = (range) => {
    if (range.map === "sequential") { range.map = "diverging"; range.low = -range.high; }
    return range;
  };

  /** What of a picture lies under a map: the picture as it was, but for the map of the moved one. */
  const under = (data, images) => images[data.images[now.look.view === "after" ? 1 : 0]];

  /**
   * The attention map that a row shows, before it is painted: {key, arrays, range, paint(range)}; null where there is
   * none. Maps of one key can share a scale.
   */
  const attention = (row, data, images) => {
    const part = row.attention;
    part.element.classList.toggle("mapless", !data.maps.length);
    row.others.hidden = true;
    if (!data.maps.length) {
      const why = data.notes.find((line) => line.startsWith(NO_MAP));
      blank(part, `${say("No attention map.")} ${why ? say(why.slice(NO_MAP.length)) : ""}`.trim());
      write(part.where, "");
      write(part.about, "");
      badge(part.badge);
      part.note.hidden = true;
      row.map = null;
      return null;
    }
    const number = chooseMap(row, data);
    const map = data.maps[number];
    if (row.head >= map.heads) row.head = -1;
    const { view } = now.look;
    row.headDial.show(row.head + 1, map.heads > 1 ? map.heads : 0,
      row.head < 0 ? say("mean of {count}", { count: map.heads }) : say("{number} of {count}", { number: row.head + 1, count: map.heads }));
    badge(part.badge, UNTRAINED.includes(map.state) ? map.state : "", map.state_title);
    const token = asker(map, now.pin);
    const ownToken = map.prefix.includes(token);
    write(part.where, map.layer);
    part.where.title = `${map.layer} (${map.mechanism}), ${say("layout: {layout}", { layout: map.layout || say("none") })}${map.grid ? `, ${say("{rows} × {columns} cells", { rows: map.grid[0], columns: map.grid[1] })}` : ""}`;
    write(part.about, ownToken ? say("asked by the {token} token", { token }) : "");
    const [kind, given] = [say(map.kind_title), say(map.unit)];
    const unit = !map.unit || map.unit === map.kind_title || map.kind === "axial" ? given || kind
      : map.unit.startsWith(map.kind_title.split(/[ ,]/)[0]) ? given : `${kind}; ${given}`;
    const lines = [say(map.note)];

    if (!map.grid) {
      const sides = map.rows.matrix;
      const [heads, rows, columns] = sides[0].s;
      const [before, after] = [sides[0], sides[sides.length - 1]].map((one) => headOf({ values: numbers(now.answer.blob, one), heads }, rows * columns, row.head));
      // A matrix between channels has no place that could be pulled back.
      const shown = view === "difference" ? after.map((value, at) => value - before[at]) : view === "before" ? before : after;
      const arrays = view === "difference" ? [shown] : [before, after];
      const { step, full, groups } = sides[0];
      if (step > 1) lines.push(say("Shown as means of {step} × {step} of its {rows} × {columns} entries.", { step, rows: full[0], columns: full[1] }));
      if (groups > 1) lines.push(say("The first of {groups} groups is shown.", { groups }));
      note(part, lines);
      return { key: `${map.kind} ${map.unit} ${view === "difference"}`, arrays, signed: view === "difference", paint: (range) => paint(part, { values: shown, rows, columns, range, valid: null }, rows === 1 ? [1, 4] : [rows, columns], null, {
        unit,
        words: say("Matrix of {layer}, no picture of the image", { layer: map.layer }),
      }) };
    }
    const [rows, columns] = map.grid;
    const cells = rows * columns;
    /** One pin's rows of the chosen head, before and after; undefined where they are not here. */
    const sidesOf = (pin) => {
      const found = ["before", "after"].map((when) => rowsOf(data, number, when, pin));
      const wanted = { before: [0], after: [1], pulled: [1], difference: [0, 1] }[view];
      if (wanted.some((side) => found[side] === undefined)) return undefined;
      return { found, arrays: found.map((one) => (one ? headOf(one, cells, row.head) : null)) };
    };
    const sides = sidesOf(now.pin);
    if (sides === undefined) { row.missing = true; return null; }
    const { found, arrays: [before, after] } = sides;
    const shown = viewed(before, after, rows, columns, data.move);
    const place = askedFrom(data.move, now.pin, view === "after" ? "after" : "before");
    if (!shown) {
      const left = !ownToken && map.query_grid && !askedFrom(data.move, now.pin, "after");
      blank(part, left ? say(now.answer.truth ? "The place asked from moved with the object and has left the picture. Click another, or move it back." : "The place asked from has left the picture. Click another, or move it back.") : say("This layer has no query at this place."));
      note(part, lines);
      return null;
    }
    const main = found[view === "before" ? 0 : 1];
    if (main.mean && row.head >= 0) lines.push(say("While it moves: the mean of all heads."));
    if (main.prefix !== undefined && view !== "difference") {
      const share = (100 * main.prefix).toFixed(1);
      lines.push(map.prefix.length > 1 ? say("{share} % more on the {count} prefix tokens.", { share, count: map.prefix.length }) : say("{share} % more on the {token} token.", { share, token: map.prefix[0] }));
    }
    if (view === "difference") lines.push(say("Pulled back minus before; hatched: not in the moved picture."));
    note(part, lines);
    const strip = reach(map, place);
    const valid = strip && shown.valid ? shown.valid.map((one, at) => one && strip[at]) : shown.valid || strip;
    const head = row.head < 0 ? say("mean of {count} heads", { count: map.heads }) : say("head {number}", { number: row.head + 1 });
    const finish = (range) => {
      paint(part, { values: shown.values, rows, columns, range, valid, signed: range.map === "diverging", outside: shown.valid ? say("not in the moved picture") : say("not on this line") }, data.size, under(data, images), {
        pins: map.query_grid && !ownToken ? { move: data.move, when: view === "after" ? "after" : "before" } : null,
        hatched: Boolean(shown.valid),
        unit,
        words: `${say("Attention of {layer}, {head}", { layer: map.layer, head })}${ownToken ? `, ${say("asked by the {token} token", { token })}` : ""}, ${kind}, ${say("weights: {state}", { state: map.state })}`,
      });
      showOthers(row, data, images, map, range, sidesOf);
    };
    return {
      key: `${map.kind} ${map.unit} ${view === "difference"}`,
      arrays: shown.compared,
      fixed: map.kind === "gate" && view !== "difference" ? [0, 1] : null,
      signed: view === "difference",
      paint: finish,
    };
  };

  /** The maps of the other pins, small, on the same scale; a click makes one the large one. */
  const showOthers = (row, data, images, map, range, sidesOf) => {
    const { pins } = explorer.question.get();
    const [rows, columns] = map.grid;
    if (pins.length < 2 || !map.query_grid) return;
    row.others.hidden = false;
    while (row.others.children.length > pins.length) row.others.lastChild.remove();
    while (row.others.children.length < pins.length) {
      const number = row.others.children.length;
      const canvas = make("canvas");
      const other = make("button", { type: "button", class: "other", "aria-label": say("Show pin {number}", { number: number + 1 }), onclick: () => {
        now.pin = number;
        explorer.question.set({}, false);
        explorer.tell("pins");
      } }, canvas, make("span", { text: number + 1 }));
      other.style.setProperty("--pin", explorer.pinColour(number));
      row.others.append(other);
    }
    [...row.others.children].forEach((other, number) => {
      other.setAttribute("aria-pressed", String(number === now.pin));
      const canvas = other.firstChild;
      const context = fit(canvas, data.size);
      context.clearRect(0, 0, canvas.width, canvas.height);
      const sides = sidesOf(number);
      if (sides === undefined) { row.missing = true; return; }
      const shown = viewed(...sides.arrays, rows, columns, data.move);
      if (!shown) { context.fillStyle = explorer.hatch(context); context.fillRect(0, 0, canvas.width, canvas.height); return; }
      context.imageSmoothingEnabled = now.look.smooth;
      context.drawImage(explorer.coloured(shown.values, rows, columns, range, shown.valid), 0, 0, canvas.width, canvas.height);
    });
  };

  /** The same for the attribution. */
  const attribution = (row, data, images) => {
    const { answer, look } = now;
    const part = row.attribution;
    const found = data.attribution;
    row.compute.hidden = true;
    if (!found.after) {
      const press = found.why === "press" && !data.notes.some((line) => line.startsWith(`${answer.method}:`));
      blank(part, say(press ? "This method takes many passes through the network, so it does not follow the drag." : "This method cannot serve this model; the line above says why."));
      row.compute.hidden = !press;
      write(part.where, "");
      write(part.about, "");
      badge(part.badge);
      part.note.hidden = true;
      return null;
    }
    const { view } = look;
    const arrays = Object.fromEntries(["before", "after", "pulled", "difference"].map((name) => [name, numbers(answer.blob, found[name])]));
    const [rows, columns] = found[view].s;
    const valid = view === "pulled" || view === "difference" ? numbers(answer.blob, found.valid) : null;
    badge(part.badge, UNTRAINED.includes(found.state) ? found.state : "", found.state_title);
    write(part.where, found.layer || say("input"));
    part.where.title = `${found.method}, ${found.layer || say("input")}, ${say("{rows} × {columns} cells", { rows, columns })}`;
    write(part.about, say("{method} for {target}", { method: explorer.methodName(found.method), target: found.target }));
    const lines = [say(found.note)];
    const delta = found.delta[view === "before" ? 0 : 1];
    if (delta !== null) lines.push(say("Convergence delta {delta}.", { delta: digits(delta) }));
    if (view === "difference") lines.push(say("Pulled back minus before; hatched: not in the moved picture."));
    note(part, lines);
    return {
      key: `${found.method} ${found.unit} ${view === "difference"}`,
      arrays: view === "difference" ? [arrays.difference] : [arrays.before, arrays.after],
      signed: view === "difference",
      paint: (range) => paint(part, { values: arrays[view], rows, columns, range, valid, outside: say("not in the moved picture"), signed: range.map === "diverging" },
        data.size, under(data, images), {
          hatched: Boolean(valid),
          unit: say(found.unit || "attribution"),
          words: say("Attribution by {method} for {target}", { method: found.method, target: found.target }),
        }),
    };
  };

  /** Paint the maps of all rows, those of one kind on one scale where that is wanted: look.scale "kind", or "own". */
  const paintAll = (drawings, shared) => {
    const groups = new Map();
    for (const one of drawings) {
      if (!groups.has(one.key)) groups.set(one.key, []);
      groups.get(one.key).push(one);
    }
    for (const group of groups.values()) {
      const arrays = group.flatMap((one) => one.arrays);
      for (const one of group) {
        const range = explorer.range(shared ? arrays : one.arrays, one.fixed);
        one.paint(one.signed ? signed(range) : range);
      }
    }
  };

  const work = { pulled: document.createElement("canvas"), plain: document.createElement("canvas") };
  /** Draw what a model sees in the present view: moved, as it was, pulled back, or how the last two differ. */
  const drawSeen = (context, data, images, ahead) => {
    const { width, height } = context.canvas;
    const [before, after] = data.images.map((number) => images[number].colour);
    const side = Math.max(...data.size);
    const { view } = now.look;
    if (view === "after") {
      fill(context, ahead || after, side);
      if (!ahead && !now.answer.at.scene) hatchBorder(context, data.move);
      return;
    }
    if (view === "before") { fill(context, before, side); return; }
    const back = (pen) => {
      const { linear: [[a, b], [c, d]], offset } = data.move;
      const determinant = a * d - b * c;
      const [e, f, g, h] = [d / determinant, -b / determinant, -c / determinant, a / determinant];
      const [x, y] = [-(e * offset[0] + f * offset[1]), -(g * offset[0] + h * offset[1])];
      pen.save();
      pen.imageSmoothingEnabled = true;
      for (const across of data.move.cyclic ? [-1, 0, 1] : [0]) {
        for (const down of data.move.cyclic ? [-1, 0, 1] : [0]) {
          pen.setTransform(e, g * (height / width), f * (width / height), h, (x + across) * width, (y + down) * height);
          pen.drawImage(after, 0, 0, width, height);
        }
      }
      pen.restore();
    };
    const hatchLost = (pen) => {
      if (data.move.cyclic) return;
      const { linear: [[a, b], [c, d]], offset } = data.move;
      const determinant = a * d - b * c;
      const inverse = {
        linear: [[d / determinant, -b / determinant], [-c / determinant, a / determinant]],
        offset: [-(d * offset[0] - b * offset[1]) / determinant, -(a * offset[1] - c * offset[0]) / determinant],
      };
      pen.save();
      pen.beginPath();
      pen.rect(0, 0, width, height);
      outline(pen, inverse);
      pen.fillStyle = explorer.hatch(pen);
      pen.fill("evenodd");
      pen.restore();
    };
    if (view === "pulled") { context.clearRect(0, 0, width, height); back(context); hatchLost(context); return; }
    const [one, two] = ["pulled", "plain"].map((name) => {
      work[name].width = width;
      work[name].height = height;
      return work[name].getContext("2d", { willReadFrequently: true });
    });
    back(one);
    two.imageSmoothingEnabled = true;
    two.drawImage(before, 0, 0, width, height);
    const [moved, plain] = [one.getImageData(0, 0, width, height), two.getImageData(0, 0, width, height)];
    for (let i = 0; i < moved.data.length; i += 4) {
      const change = Math.max(...[0, 1, 2].map((c) => Math.abs(moved.data[i + c] - plain.data[i + c])));
      moved.data[i] = moved.data[i + 1] = moved.data[i + 2] = 255 - change;
      moved.data[i + 3] = 255;
    }
    context.putImageData(moved, 0, 0);
    hatchLost(context);
  };

  /** What the model sees; of what moves on, what it is about to see. */
  const showSeen = (row, data, images) => {
    const { answer } = now;
    const question = explorer.question.get();
    const part = row.seen;
    if (row.element.parentElement.classList.contains("alike")) return;
    blank(part, "");
    part.scale.hidden = part.unit.hidden = true;
    const current = explorer.question.isAnsweredBy(answer);
    const { view } = now.look;
    const ahead = view === "after" && !current ? explorer.scenery.preview(question, data.size) : null;
    const context = fit(part.canvas, data.size);
    drawSeen(context, data, images, ahead);
    const when = view === "after" ? "after" : "before";
    const move = ahead ? explorer.scenery.moveOf(question) : data.move;
    drawPins(context, move, when);
    const place = askedFrom(move, now.pin, when);
    const [height, width] = data.size;
    // What lies on a pixel's edge but for rounding belongs to the pixel that begins there.
    const at = (point) => `(${Math.floor(point.x * width + 1e-6)}, ${Math.floor(point.y * height + 1e-6)})`;
    const from = place ? say("asked from {place} px", { place: at(place) }) : say("the place asked from has left the picture");
    write(part.reading, from);
    write(part.where, `${width} × ${height} px`);
    write(part.about, answer.identity ? "" : say(answer.transform));
    badge(part.badge);
    part.canvas.setAttribute("aria-label", `${say("What {model} sees: {width} by {height} pixels, {move}.", { model: data.spec, width, height, move: answer.transform })} ${from}`);
  };

  /** Everything about a model's state and answer that is no picture. */
  const present = (row) => {
    const { data } = row;
    row.element.classList.remove("waiting");
    row.element.classList.toggle("failed", Boolean(data.error));
    row.problem.hidden = !data.error;
    write(row.problem, data.error ? say(data.error) : "");
    if (data.error) {
      badge(row.badge);
      write(row.device, "");
      row.notes.replaceChildren();
      return;
    }
    badge(row.badge, data.state, data.state_title);
    write(row.device, data.device);
    const lines = data.notes.filter((line) => !line.startsWith(NO_MAP)).map((line) => say(line));
    if (row.notes.textContent !== lines.join("")) row.notes.replaceChildren(...lines.map((text) => make("li", { text })));
    showTop(row);
  };

  explorer.rows = { makeRow, present, showSeen, drawSeen, attention, attribution, paintAll };
})();
