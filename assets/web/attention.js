// The attention map of a row.
/** @import { Decoded, Drawing, Range, Row } from "./modules" */
/** @import { Answered, AttentionMap, MapOnPicture, MatrixMap } from "./wire" */
import { childrenOf, make, write } from "./dom.js";
import { headOf, layersOf, reach } from "./geometry.js";
import { showHeads } from "./heads.js";
import { asker, askedFrom, rowsOf, sinksOf, withoutSinks } from "./maps.js";
import { floats } from "./numbers.js";
import { badge, blank, drawNetwork, fit, hatch, note, paint, pinColour } from "./panel.js";
import { choosePin } from "./pins.js";
import * as questions from "./question.js";
import { now } from "./shown.js";
import { drawSmall } from "./small.js";
import { MARKED, under, viewed } from "./views.js";
import { say } from "./words.js";

/** @typedef {ReturnType<typeof describe>} Said what is said of a map */
/** @typedef {NonNullable<ReturnType<typeof rowsOf>> | null} Side */

/** The map to show: the layer's, or that part of it which is chosen; the last part says most. */
/** @param {Row} row @param {Answered} data */
const chooseMap = (row, data) => {
  const layers = layersOf(data.maps);
  if (row.layer === null || row.layer >= layers.length) {
    const opens = layers.findIndex(({ numbers }) => numbers.includes(data.opens ?? -1));
    row.layer = opens < 0 ? layers.length - 1 : opens;
  }
  const own = layers[row.layer].numbers;
  const names = own.length > 1 ? own.map((number) => data.maps[number].part) : [];
  const wanted = names.indexOf(row.part ?? "");
  const number = own[wanted >= 0 ? wanted : own.length - 1];
  drawNetwork(row.attention, row.layer, layers.length);
  row.layerDial.show(row.layer, layers.length - 1, say("{number} of {count}", { number: row.layer + 1, count: layers.length }));
  row.partDial.hidden = !names.length;
  if (row.parts.dataset.names !== names.join()) {
    row.parts.dataset.names = names.join();
    row.parts.replaceChildren(...names.map((name) => make("option", { value: name, text: say(name).replace(" x ", " × ") })));
  }
  row.parts.value = data.maps[number].part;
  row.map = number;
  return number;
};

/** The maps of the other pins, small, on the same scale; a click makes one the large one. */
/**
 * @param {Row} row @param {Answered} data @param {MapOnPicture} map @param {Range} range
 * @param {(pin: number) => {arrays: (Float32Array | null)[]} | undefined} sidesOf
 */
const showOthers = (row, data, map, range, sidesOf) => {
  const { pins } = questions.get();
  const [rows, columns] = map.grid;
  if (pins.length < 2 || !map.query_grid) return;
  row.others.hidden = false;
  while (row.others.children.length > pins.length) row.others.lastElementChild?.remove();
  while (row.others.children.length < pins.length) {
    const number = row.others.children.length;
    const canvas = make("canvas");
    const other = make("button", { type: "button", class: "other", "aria-label": say("Show pin {number}", { number: number + 1 }), onclick: () => choosePin(number) },
      canvas, make("span", { text: number + 1 }));
    other.style.setProperty("--pin", pinColour(number));
    row.others.append(other);
  }
  childrenOf(row.others, HTMLButtonElement).forEach((other, number) => {
    other.setAttribute("aria-pressed", String(number === now.pin));
    const [canvas] = childrenOf(other, HTMLCanvasElement);
    const context = fit(canvas, data.size);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const sides = sidesOf(number);
    if (sides === undefined) { row.missing = true; return; }
    const shown = viewed(sides.arrays[0], sides.arrays[1], rows, columns, data.move);
    if (!shown) { context.fillStyle = hatch(context); context.fillRect(0, 0, canvas.width, canvas.height); return; }
    drawSmall(context, { values: shown.values, rows, columns, range, valid: shown.valid });
  });
};

/** There is no map: say why. */
/** @param {Row} row @param {Answered} data */
const showNone = (row, data) => {
  const part = row.attention;
  drawNetwork(part, 0, 0);
  blank(part, `${say("No attention map.")} ${say(data.no_map)}`.trim());
  write(part.where, "");
  write(part.about, "");
  badge(part.badge);
  part.note.hidden = true;
  row.map = null;
};

/** Say what a map is: its layer, its kind, the state of its weights; returns {kind, unit, token, own} in words. */
/** @param {Row} row @param {AttentionMap} map */
const describe = (row, map) => {
  const part = row.attention;
  if (row.head >= map.heads) row.head = -1;
  row.headDial.show(row.head + 1, map.heads > 1 ? map.heads : 0,
    row.head < 0 ? say("mean of {count}", { count: map.heads }) : say("{number} of {count}", { number: row.head + 1, count: map.heads }));
  badge(part.badge, MARKED.includes(map.state) ? map.state : "", map.state_title);
  const token = asker(map, now.pin);
  const own = map.prefix.includes(token);
  write(part.where, map.layer);
  const layout = map.layout ? say(map.layout) : say("none");
  part.network.title = part.where.title = `${map.layer} (${map.mechanism}), ${say("layout: {layout}", { layout })}${map.grid ? `, ${say("{rows} × {columns} cells", { rows: map.grid[0], columns: map.grid[1] })}` : ""}`;
  write(part.about, own ? say("asked by the {token} token", { token: say(token) }) : "");
  return { kind: say(map.kind_title), unit: say(map.unit), token, own };
};

/** A matrix between channels, which has no place that could be pulled back. */
/** @param {Row} row @param {MatrixMap} map @param {Said} said @returns {Drawing | null} */
const matrixOf = (row, map, { unit }) => {
  const part = row.attention;
  const { answer, look: { view } } = now;
  if (!answer) return null;
  const sides = map.rows.matrix;
  const [heads, rows, columns] = sides[0].s;
  const [before, after] = [sides[0], sides[sides.length - 1]].map((one) => headOf({ values: floats(answer.blob, one), heads }, rows * columns, row.head));
  const shown = view === "difference" ? Float32Array.from(after, (value, at) => value - before[at]) : view === "before" ? before : after;
  const { step, full, groups } = sides[0];
  note(part, [
    say(map.note),
    step > 1 ? say("Shown as means of {step} × {step} of its {rows} × {columns} entries.", { step, rows: full[0], columns: full[1] }) : "",
    groups > 1 ? say("The first of {groups} groups is shown.", { groups }) : "",
  ]);
  return {
    key: `${map.kind} ${say(map.unit)} ${view === "difference"}`,
    arrays: view === "difference" ? [shown] : [before, after],
    signed: view === "difference",
    paint: (range) => paint(part, { values: shown, rows, columns, range, valid: null }, rows === 1 ? [1, 4] : [rows, columns], null, {
      unit,
      words: say("Matrix of {layer}, no picture of the image", { layer: map.layer }),
    }),
  };
};

/** What has to be said about the rows that are shown. */
/** @param {Row} row @param {MapOnPicture} map @param {Side} main */
const notesOf = (row, map, main) => {
  const { view, sinkless } = now.look;
  const { cells, share: taken } = sinksOf(map, row.head, view === "before" ? 0 : 1);
  const said = { count: cells.length, share: Math.round(100 * taken) };
  const lines = [say(map.note)];
  if (cells.length) {
    lines.unshift(cells.length === 1 ? say("{count} cell takes {share} % of the weight whatever asks.", said) : say("{count} cells take {share} % of the weight whatever asks.", said),
      sinkless ? say("Hatched: hidden for that.") : "");
  }
  if (main?.mean && row.head >= 0) lines.push(say("While it moves: the mean of all heads."));
  if (main?.prefix !== undefined && view !== "difference") {
    const share = (100 * main.prefix).toFixed(1);
    lines.push(map.prefix.length > 1 ? say("{share} % more on the {count} prefix tokens.", { share, count: map.prefix.length }) : say("{share} % more on the {token} token.", { share, token: say(map.prefix[0]) }));
  }
  if (view === "difference") lines.push(say("Pulled back minus before; hatched: not in the moved picture."));
  return lines;
};

/** A map that lies on the picture. */
/**
 * @param {Row} row @param {Answered} data @param {Decoded[]} images @param {number} number @param {MapOnPicture} map
 * @param {Said} said @returns {Drawing | null}
 */
const mapOnPicture = (row, data, images, number, map, { kind, unit, token, own }) => {
  const part = row.attention;
  const { view } = now.look;
  const [rows, columns] = map.grid;
  /** One pin's rows of a head, before and after; undefined where they are not here. */
  /** @param {number} pin @param {number} head */
  const sidesOf = (pin, head = row.head) => {
    const found = [rowsOf(data, number, "before", pin), rowsOf(data, number, "after", pin)];
    const wanted = { before: [0], after: [1], pulled: [1], difference: [0, 1] }[view];
    if (wanted.some((side) => found[side] === undefined)) return undefined;
    const arrays = found.map((one) => (one ? headOf(one, rows * columns, head) : null));
    return { found, arrays: now.look.sinkless ? arrays.map((one, side) => one && withoutSinks(one, sinksOf(map, head, side))) : arrays };
  };
  const shownOf = (/** @type {number} */ head) => {
    const own = sidesOf(now.pin, head);
    return own && viewed(own.arrays[0], own.arrays[1], rows, columns, data.move);
  };
  const sides = sidesOf(now.pin);
  if (sides === undefined) { row.missing = true; return null; }
  const shown = viewed(sides.arrays[0], sides.arrays[1], rows, columns, data.move);
  if (!shown) {
    const left = !own && map.query_grid && !askedFrom(data.move, now.pin, "after");
    blank(part, !left ? say("This layer has no query at this place.")
      : now.answer?.truth ? say("The place asked from moved with the object and has left the picture. Click another, or move it back.")
      : say("The place asked from has left the picture. Click another, or move it back."));
    note(part, [say(map.note)]);
    return null;
  }
  note(part, notesOf(row, map, sides.found[view === "before" ? 0 : 1] ?? null));
  const strip = reach(map, askedFrom(data.move, now.pin, view === "after" ? "after" : "before"));
  const within = strip && shown.valid ? shown.valid.map((one, at) => one && strip[at]) : shown.valid || strip;
  const hidden = now.look.sinkless && shown.values.some(Number.isNaN);
  const valid = hidden ? Uint8Array.from(shown.values, (value, at) => (Number.isNaN(value) || (within && !within[at]) ? 0 : 1)) : within;
  const outside = (/** @type {number} */ at) => (Number.isNaN(shown.values[at]) ? say("hidden: takes weight whatever asks") : shown.valid ? say("not in the moved picture") : say("not on this line"));
  const head = row.head < 0 ? say("mean of {count} heads", { count: map.heads }) : say("head {number}", { number: row.head + 1 });
  return {
    key: `${map.kind} ${say(map.unit)} ${view === "difference"}`,
    arrays: shown.compared,
    fixed: map.kind === "gate" && view !== "difference" ? [0, 1] : null,
    signed: view === "difference",
    paint: (range) => {
      paint(part, { values: shown.values, rows, columns, range, valid, signed: range.map === "diverging", outside }, data.size, under(data, images), {
        pins: map.query_grid && !own ? { move: data.move, when: view === "after" ? "after" : "before" } : null,
        hatched: Boolean(shown.valid) || hidden,
        unit,
        words: `${say("Attention of {layer}, {head}", { layer: map.layer, head })}${own ? `, ${say("asked by the {token} token", { token: say(token) })}` : ""}, ${kind}, ${say("weights: {state}", { state: say(map.state) })}`,
      });
      showOthers(row, data, map, range, sidesOf);
      // While it moves, a large map comes as the mean of its heads.
      if (!sides.found.some((one) => one?.mean)) showHeads(row, map.heads, data.size, map.grid, shownOf);
    },
  };
};

/**
 * The attention map that a row shows, before it is painted: {key, arrays, range, paint(range)}; null where there is
 * none. Maps of one key can share a scale.
 */
/** @param {Row} row @param {Answered} data @param {Decoded[]} images @returns {Drawing | null} */
export const attention = (row, data, images) => {
  row.attention.element.classList.toggle("mapless", !data.maps.length);
  row.others.hidden = true;
  if (!data.maps.length) { row.heads.hidden = true; showNone(row, data); return null; }
  const number = chooseMap(row, data);
  const map = data.maps[number];
  const words = describe(row, map);
  if (!map.grid) row.heads.hidden = true;
  return map.grid ? mapOnPicture(row, data, images, number, map, words) : matrixOf(row, map, words);
};
