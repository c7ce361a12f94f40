// A panel: a picture or a map on a canvas, with what its numbers mean and a way to read them.
/** @import { Blob, Cells, Decoded, PaintedMap, Panel } from "./modules" */
/** @import { Place } from "./view" */
/** @import { Move, Numbers, Size } from "./wire" */
import { tell } from "./bus.js";
import { coloured, gradient } from "./colours.js";
import { make, penOf, write } from "./dom.js";
import { carried } from "./geometry.js";
import { askedFrom } from "./maps.js";
import { digits, numbers } from "./numbers.js";
import { ranked } from "./percentile.js";
import { placeOf } from "./pointing.js";
import * as questions from "./question.js";
import { now } from "./shown.js";
import { say } from "./words.js";
//: Pictures of at most this many pixels a side are shown pixel by pixel: so few is what the model has to go on.
const FEW = 112;

/** @type {Map<string, Decoded>} by data URI */
const pictures = new Map();
/** A picture in colour and in grey: decoded once, or made at once of the pixels that came with an answer. */
/** @param {string | Numbers} image @param {Blob} blob @returns {Decoded | Promise<Decoded>} */
export const picture = (image, blob) => {
  if (typeof image === "string") return pictures.get(image) ?? decoded(image);
  const [height, width] = image.s;
  const rgb = numbers(blob, image);
  const pixels = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) pixels.data.set([rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2], 255], 4 * i);
  const colour = make("canvas", { width, height });
  penOf(colour).putImageData(pixels, 0, 0);
  return withGrey(colour, () => pixels);
};

/** @param {string} uri @returns {Promise<Decoded>} */
const decoded = async (uri) => {
  const colour = new Image();
  colour.src = uri;
  await colour.decode();
  const { naturalWidth: width, naturalHeight: height } = colour;
  const context = penOf(make("canvas", { width, height }), { willReadFrequently: true });
  context.drawImage(colour, 0, 0);
  const found = withGrey(colour, () => context.getImageData(0, 0, width, height));
  pictures.set(uri, found);
  if (pictures.size > 24) pictures.delete([...pictures.keys()][0]);
  return found;
};

/** A picture whose grey, which lies under maps, is made when a map first asks for it: of most answers one side is shown. */
/** @param {Decoded["colour"]} colour @param {() => ImageData} pixels @returns {Decoded} */
const withGrey = (colour, pixels) => {
  /** @type {HTMLCanvasElement | undefined} */
  let grey;
  const made = () => {
    grey ??= inGrey(pixels());
    return grey;
  };
  return { colour, get grey() { return made(); } };
};

/** @param {ImageData} pixels changed */
const inGrey = (pixels) => {
  for (let i = 0; i < pixels.data.length; i += 4) {
    const level = 0.2126 * pixels.data[i] + 0.7152 * pixels.data[i + 1] + 0.0722 * pixels.data[i + 2];
    pixels.data[i] = pixels.data[i + 1] = pixels.data[i + 2] = level;
  }
  const grey = make("canvas", { width: pixels.width, height: pixels.height });
  penOf(grey).putImageData(pixels, 0, 0);
  return grey;
};

// Asking a canvas for its width makes the browser lay the page out at once, so all new ones are asked together, and are
// told from then on.
/** @type {WeakMap<Element, number>} */
const widths = new WeakMap();
const sizes = new ResizeObserver((entries) => {
  let changed = false;
  for (const { target, contentRect } of entries) {
    changed ||= Math.round(contentRect.width) !== Math.round(widths.get(target) ?? 0);
    widths.set(target, contentRect.width);
  }
  if (changed) tell("resized");
});

/** How wide a canvas stands on the screen, px; 0 where it is hidden. */
/** @param {HTMLCanvasElement} canvas */
export const widthOf = (canvas) => {
  const known = widths.get(canvas);
  if (known !== undefined) return known;
  for (const one of new Set([canvas, ...document.querySelectorAll(".part canvas")])) {
    // One that is hidden is asked when it is drawn on.
    if (widths.has(one) || !(one === canvas || one.clientWidth)) continue;
    widths.set(one, one.clientWidth);
    sizes.observe(one);
  }
  return widths.get(canvas) ?? 0;
};

let wanted = 0;
/** Draw with so many pixels a pixel of the screen from the next drawing on; 0: as the screen is. */
/** @param {number} ratio */
export const sharpen = (ratio) => { wanted = ratio; };
const ratio = () => wanted || Math.min(window.devicePixelRatio || 1, 2);

/** Give a canvas as many pixels as it covers on the screen. */
/** @param {HTMLCanvasElement} canvas @param {Size} size */
export const fit = (canvas, [height, width]) => {
  const across = Math.max(1, Math.round(widthOf(canvas) * ratio()));
  const down = Math.max(1, Math.round((across * height) / width));
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
  }
  canvas.style.aspectRatio = `${width} / ${height}`;
  return penOf(canvas);
};

/** Fill a canvas with what a model sees: few pixels as they are, many smoothly. */
/** @param {CanvasRenderingContext2D} context @param {CanvasImageSource} source @param {number} side */
export const fill = (context, source, side) => {
  const { width, height } = context.canvas;
  context.imageSmoothingEnabled = side > FEW;
  context.drawImage(source, 0, 0, width, height);
};

/** @type {Map<string, CanvasPattern>} by colours and size: a drag draws them with every frame */
const hatches = new Map();
/** A pattern of fine diagonal lines: nothing of the picture is here. */
/** @param {CanvasRenderingContext2D} context @param {string | null} ground @param {string} ink */
export const hatch = (context, ground = "#8a8d92", ink = "#b9bcc1") => {
  const key = `${ground} ${ink} ${ratio()}`;
  const pattern = hatches.get(key) ?? hatched(context, ground, ink);
  hatches.set(key, pattern);
  return pattern;
};

/** @param {CanvasRenderingContext2D} context @param {string | null} ground @param {string} ink */
const hatched = (context, ground, ink) => {
  const scale = ratio();
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8 * scale;
  const pen = penOf(tile);
  if (ground) { pen.fillStyle = ground; pen.fillRect(0, 0, tile.width, tile.height); }
  pen.strokeStyle = ink;
  pen.lineWidth = 1.4 * scale;
  pen.beginPath();
  for (const start of [-1, 0, 1]) { pen.moveTo(start * tile.width, tile.height); pen.lineTo((start + 1) * tile.width, 0); }
  pen.stroke();
  // There is no pattern of a picture that has not been loaded alone; a canvas always is.
  return /** @type {CanvasPattern} */ (context.createPattern(tile, "repeat"));
};

/** The picture's outline after a move, as a path. */
/** @param {CanvasRenderingContext2D} context @param {Move} move */
export const outline = (context, move) => {
  const { width, height } = context.canvas;
  [[0, 0], [1, 0], [1, 1], [0, 1]].forEach(([x, y], number) => {
    const place = carried({ ...move, cyclic: false }, { x, y });
    context[number ? "lineTo" : "moveTo"](place.x * width, place.y * height);
  });
  context.closePath();
};

/** Hatch what a moved picture shows of its border: it is no part of the picture. */
/** @param {CanvasRenderingContext2D} context @param {Move} move */
export const hatchBorder = (context, move) => {
  if (move.cyclic) return;
  const { width, height } = context.canvas;
  context.save();
  context.beginPath();
  context.rect(0, 0, width, height);
  outline(context, move);
  context.fillStyle = hatch(context, null, "rgb(150 154 160 / 75%)");
  context.fill("evenodd");
  context.restore();
};

//: Bright, unlike each other and unlike any colour of the maps; each pin has its number too.
const PINS = ["#ffffff", "#ffd400", "#3fe0ff", "#ff7ad9"];
/** @param {number} number */
export const pinColour = (number) => PINS[number % PINS.length];

/** Every pin where it asks from; the one whose maps are shown is the large one. */
/** @param {CanvasRenderingContext2D} context @param {Move} move @param {"before" | "after"} when */
export const drawPins = (context, move, when = "after") => {
  const { pins } = questions.get();
  const active = now.pin;
  pins.forEach((_, number) => {
    const place = askedFrom(move, number, when);
    if (place) cross(context, place, pinColour(number), pins.length > 1 ? number + 1 : 0, number === active || pins.length === 1);
  });
};

/**
 * @param {CanvasRenderingContext2D} context @param {Place} place @param {string} colour @param {number} name
 * @param {boolean} large
 */
export const cross = (context, place, colour = "white", name = 0, large = true) => {
  const { width, height } = context.canvas;
  const scale = ratio();
  const [x, y, radius] = [place.x * width, place.y * height, (large ? 7 : 4.5) * scale];
  if (name) {
    context.font = `600 ${11 * scale}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    context.lineWidth = 3 * scale;
    context.strokeStyle = "rgb(0 0 0 / 75%)";
    /** @type {[number, number]} */
    const at = [x + radius * 1.7, y - radius * 1.4];
    context.strokeText(String(name), ...at);
    context.fillStyle = colour;
    context.fillText(String(name), ...at);
  }
  for (const { stroke, thick } of [{ stroke: "rgb(0 0 0 / 70%)", thick: 4 }, { stroke: colour, thick: 2 }]) {
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

/** A button over a canvas that opens the ways to take away what is drawn there: takeaway.js. */
/** @param {HTMLCanvasElement} canvas @param {string} title @param {string} name of the file @param {() => Panel | null} of its panel */
export const takeButton = (canvas, title, name, of = () => null) => {
  const words = say("Save or copy: {title}", { title });
  const button = make("button", { type: "button", class: "take", text: "⤓", title: words, "aria-label": words, "aria-haspopup": "true", onclick: () => tell("takeaway", { button, title: words, canvas, name, part: of() }) });
  return button;
};

/** @param {string} name @param {string} title @returns {Panel} */
export const panel = (name, title) => {
  const canvas = make("canvas", { role: "img", tabindex: 0, "aria-label": title });
  const blank = make("p", { class: "blank", hidden: true });
  const tip = make("p", { class: "tip", hidden: true, "aria-hidden": "true" });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  const low = make("span");
  const high = make("span");
  const strip = make("span", { class: "strip", "aria-hidden": "true" });
  const unit = make("span", { class: "unit" });
  const scale = make("div", { class: "scale" }, low, strip, high);
  const reading = make("p", { class: "reading" });
  const about = make("p", { class: "about" });
  const badge = make("span", { class: "badge" });
  const note = make("p", { class: "note", hidden: true });
  const where = make("bdi");
  const network = make("span", { class: "network", "aria-hidden": "true", hidden: true });
  const element = make("figure", { class: `panel ${name}` },
    make("figcaption", {}, make("span", { class: "title", text: title }), network, make("span", { class: "where" }, where), badge),
    make("div", { class: "frame" }, canvas, takeButton(canvas, title, name, () => made), blank, tip), scale, unit, reading, about, note);
  /** @type {Panel} */
  const made = { element, canvas, blank, tip, low, high, strip, unit, scale, reading, where, network, about, badge, note, shown: null, rest: "" };
  return made;
};

//: Of more layers no drawing is small and clear.
const MOST_LAYERS = 12;
/** Draw where in its network a map is from: a box a layer with attention, from the picture to the answer. */
/** @param {Panel} part @param {number} layer @param {number} count */
export const drawNetwork = ({ network, element }, layer, count) => {
  network.hidden = count < 1 || count > MOST_LAYERS;
  element.classList.toggle("placed", !network.hidden);
  if (network.dataset.shown === `${layer} ${count}`) return;
  network.dataset.shown = `${layer} ${count}`;
  network.replaceChildren(make("i", { class: "end" }), ...Array.from({ length: count }, (_, at) => make("i", { class: at === layer ? "box here" : "box" })), make("i", { class: "end" }));
};

/** Show a sentence in place of the canvas; none shows the canvas. */
/** @param {Panel} part @param {string} text */
export const blank = (part, text) => {
  write(part.blank, text);
  part.blank.hidden = !text;
  part.canvas.hidden = Boolean(text);
  part.scale.hidden = part.unit.hidden = part.reading.hidden = Boolean(text);
  if (text) part.shown = null;
};

/** @param {HTMLElement} element @param {string} [state] @param {string} [title] */
export const badge = (element, state, title) => {
  element.hidden = !state;
  element.className = `badge ${state || ""}`;
  write(element, say(state || ""));
  element.title = say(title || "");
};

/** @param {Panel} part @param {string[]} lines */
export const note = (part, lines) => {
  const text = lines.filter(Boolean).join(" ");
  write(part.note, text);
  // Beside other models there is room for its beginning alone.
  part.note.title = text;
  part.note.hidden = !text;
};

/**
 * Draw a map: {values, rows, columns, range, valid} over a picture, and say what its numbers are.
 *   pins: {move, when} where pins are drawn too. hatched: whether what is not valid shows nothing of the picture.
 */
/**
 * @param {Panel} part @param {PaintedMap} map @param {Size} size @param {Decoded | null} under
 * @param {{pins?: {move: Move, when: "before" | "after"} | null, unit: string, words: string, hatched?: boolean}} how
 */
export const paint = (part, map, size, under, { pins, unit, words, hatched = false }) => {
  const { look } = now;
  blank(part, "");
  const context = fit(part.canvas, size);
  const { width, height } = context.canvas;
  context.globalAlpha = 1;
  context.clearRect(0, 0, width, height);
  const drawn = look.steps === "percentile" ? ranked(map) : map;
  const cells = coloured(drawn.values, map.rows, map.columns, drawn.range, above(drawn, look.threshold));
  if (under && look.overlay) {
    fill(context, under.grey, Math.max(...size));
    context.globalAlpha = look.opacity;
  }
  context.imageSmoothingEnabled = look.smooth;
  context.drawImage(cells, 0, 0, width, height);
  context.globalAlpha = 1;
  if (hatched && map.valid) hatchCells(context, map, map.valid);
  if (pins) drawPins(context, pins.move, pins.when);
  const end = (/** @type {number} */ value) => (drawn === map ? digits(value) : say("percentile {number}", { number: value }));
  write(part.low, end(drawn.range.low));
  write(part.high, end(drawn.range.high));
  const colours = map.range.map === "sequential" ? look.map : map.range.map;
  if (part.strip.dataset.colours !== colours) {
    part.strip.dataset.colours = colours;
    part.strip.style.background = gradient(map.range.map);
  }
  write(part.unit, unit);
  // Where models stand side by side, the unit is told by the scale alone.
  part.scale.title = unit;
  part.shown = { ...map, unit };
  const summary = summarise(map);
  write(part.reading, summary.short);
  part.rest = summary.short;
  part.canvas.setAttribute("aria-label", `${words}. ${summary.short}${summary.place}. ${say("Unit: {unit}", { unit })}`);
};

/** Which cells are drawn: the valid ones whose value reaches a share of the scale's end. */
/** @param {PaintedMap} map @param {number} share */
const above = ({ values, rows, columns, range, valid }, share) => {
  if (!share) return valid;
  const least = share * Math.max(Math.abs(range.low), Math.abs(range.high));
  const drawn = new Uint8Array(rows * columns);
  for (let i = 0; i < drawn.length; i++) drawn[i] = Math.abs(values[i]) >= least && (!valid || valid[i]) ? 1 : 0;
  return drawn;
};

/** @param {CanvasRenderingContext2D} context @param {Cells} cells @param {ArrayLike<number>} valid */
const hatchCells = (context, { rows, columns }, valid) => {
  const { width, height } = context.canvas;
  context.fillStyle = hatch(context);
  for (let i = 0; i < rows * columns; i++) {
    if (valid[i]) continue;
    const [left, top] = [Math.floor(((i % columns) / columns) * width), Math.floor((Math.floor(i / columns) / rows) * height)];
    context.fillRect(left, top, Math.ceil(width / columns) + 1, Math.ceil(height / rows) + 1);
  }
};

/** @param {PaintedMap} map */
const summarise = ({ values, rows, columns, valid, signed }) => {
  let best = -1;
  for (let i = 0; i < rows * columns; i++) {
    if (valid && !valid[i]) continue;
    if (best < 0 || values[i] > values[best]) best = i;
  }
  if (best < 0) return { short: say("the moved picture shows nothing of the frame"), place: "" };
  const value = digits(values[best]);
  return {
    short: signed ? say("highest {value}", { value }) : say("largest {value}", { value }),
    place: ` ${say("at row {row}, column {column}", { row: Math.floor(best / columns) + 1, column: (best % columns) + 1 })}`,
  };
};

/** Say the value under the pointer. */
/** @param {Panel} part @param {PointerEvent} event */
export const read = (part, event) => {
  const { shown } = part;
  if (!shown) return;
  const { x, y } = placeOf(part.canvas, event);
  const [row, column] = [Math.floor(y * shown.rows), Math.floor(x * shown.columns)];
  const at = row * shown.columns + column;
  const value = shown.valid && !shown.valid[at] ? shown.outside?.(at) ?? "" : digits(shown.values[at]);
  write(part.reading, say("row {row}, column {column}: {value}", { row: row + 1, column: column + 1, value }));
  // Beside the pointer, on the side where there is room.
  write(part.tip, `${value} · ${shown.unit}`);
  part.tip.style.cssText = `${x < 0.5 ? "left" : "right"}:${100 * (x < 0.5 ? x : 1 - x)}%;top:${100 * y}%`;
  part.tip.hidden = false;
};
