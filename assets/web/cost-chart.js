// The chart of what blocks cost over the number of positions, drawn by hand so that it fits a wall.
/** @import { BlockCosts } from "./wire" */
import { svg } from "./dom.js";
import { called } from "./models.js";
import { digits } from "./numbers.js";
import { say } from "./words.js";

/** @typedef {{width: number, height: number, size: number}} Size of the picture and of its letters, px */
/** @typedef {Size & {left: number, right: number, top: number, bottom: number}} Box with the room beside the chart */
/** @typedef {BlockCosts["points"][number]} Point */
/** @typedef {{name: string, points: [number, number, Point][]}} Line logarithms of positions and cost, and the point */
/** @typedef {ReturnType<typeof axesOf>} Axes */

/** How wide a bold text is, em: a Chinese sign is as wide as it is high, a Latin letter a little more than half that. */
/** @param {string} text */
const widthOf = (text) => [...text].reduce((sum, sign) => sum + (sign > "\u2e80" ? 1 : 0.6), 0);

/** @param {number} exponent */
const powerOfTen = (exponent) => {
  if (exponent >= -3 && exponent <= 3) return String(Number((10 ** exponent).toPrecision(1)));
  return `10${[...String(exponent)].map((sign) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(sign)] || "⁻").join("")}`;
};

/** Where things stand: {toX, toY} for logarithms, and the ends of the axis upwards. */
/** @param {Line[]} lines @param {Box} box */
const axesOf = (lines, { width, height, left, right, top, bottom }) => {
  const xs = lines[0].points.map(([x]) => x);
  const ys = lines.flatMap(({ points }) => points.map(([, y]) => y));
  const [low, high] = [Math.floor(Math.min(...ys)), Math.ceil(Math.max(...ys))];
  return {
    low, high,
    toX: (/** @type {number} */ x) => left + ((x - xs[0]) / (xs[xs.length - 1] - xs[0])) * (width - left - right),
    toY: (/** @type {number} */ y) => height - bottom - ((y - low) / (high - low)) * (height - top - bottom),
  };
};

/** @param {Line[]} lines @param {Axes} axes @param {Box} box */
const grid = (lines, axes, { width, height, left, right, top, bottom, size }) => {
  /** @type {SVGElement[]} */
  const made = [];
  for (let y = axes.low; y <= axes.high; y++) {
    made.push(svg("line", { class: "grid", x1: left, x2: width - right, y1: axes.toY(y), y2: axes.toY(y) }),
      svg("text", { x: left - size * 0.5, y: axes.toY(y) + size * 0.35, "text-anchor": "end" }, powerOfTen(y)));
  }
  // From the right, so that the largest is told; on a phone there is no room for every one.
  let free = width;
  for (const [x, , point] of [...lines[0].points].reverse()) {
    const [at, half] = [axes.toX(x), (widthOf(String(point[0])) * size) / 2];
    made.push(svg("line", { class: "grid", x1: at, x2: at, y1: top, y2: height - bottom }));
    if (at + half > free) continue;
    made.push(svg("text", { x: at, y: height - bottom + size * 1.2, "text-anchor": "middle" }, point[0]));
    free = at - half - size * 0.5;
  }
  return made;
};

/** What a block is called, in two rows where that is more than one word. */
/** @param {string} name */
const rowsOf = (name) => called(name).match(/.+ |\S+$/g) ?? [];

/** Names with a dot of their colour, from the top; `y` is where the first of them is to stand in the middle. */
/** @param {{name: string, y: number}[]} names @param {Record<string, string>} colours @param {Box} box */
const labelled = (names, colours, { width, right, size }) => names.flatMap(({ name, y }) => {
  const text = svg("text", { class: "name" });
  const rows = rowsOf(name);
  text.append(...rows.map((row, at) => svg("tspan", { x: width - right + size * 1.45, y: y + size * (0.35 + 1.1 * (at - (rows.length - 1) / 2)) }, row)));
  return [svg("circle", { cx: width - right + size * 0.95, cy: y, r: size * 0.3, fill: colours[name] }), text];
});
/** How far a name's middle stands below that of the one above it, at least. */
/** @param {string} above @param {string} below @param {number} size */
const apart = (above, below, size) => (rowsOf(above).length + rowsOf(below).length) * size * 0.55 + size * 0.2;

/** The names alone, in the lesson's order: a curve's first points tell its slope. */
/** @param {Line[]} lines @param {Record<string, string>} colours @param {Box} box */
const legend = (lines, colours, box) => {
  let y = box.top;
  return labelled(lines.map(({ name }, number) => {
    y += number ? apart(lines[number - 1].name, name, box.size) + box.size * 0.1 : box.size * 1.2;
    return { name, y };
  }), colours, box);
};

/** @param {Line[]} lines @param {Record<string, string>} colours @param {Axes} axes @param {Box} box */
const curves = (lines, colours, axes, box) => {
  const { height, bottom, size } = box;
  /** @type {SVGElement[]} */
  const made = [];
  // The names stand apart where lines end close to each other.
  const labels = lines.map(({ name, points }) => ({ name, y: axes.toY(points[points.length - 1][1]) })).sort((a, b) => a.y - b.y);
  labels.forEach((one, number) => { if (number) one.y = Math.max(one.y, labels[number - 1].y + apart(labels[number - 1].name, one.name, size)); });
  const over = labels.length ? labels[labels.length - 1].y - (height - bottom) : 0;
  if (over > 0) for (const one of labels) one.y -= over;
  for (const { name, points } of lines) {
    made.push(svg("polyline", { points: points.map(([x, y]) => `${axes.toX(x)},${axes.toY(y)}`).join(" "), fill: "none", stroke: colours[name], "stroke-width": size * 0.2, "stroke-linejoin": "round" }));
    for (const [x, y] of points) made.push(svg("circle", { cx: axes.toX(x), cy: axes.toY(y), r: size * 0.3, fill: colours[name] }));
  }
  return [...made, ...labelled(labels, colours, box)];
};

/** Draw the costs of a step's blocks; the curves wait for the reveal. `box`: {width, height, size of letters}, px. */
/**
 * @param {{blocks: string[], show: string}} cost @param {Record<string, BlockCosts>} costs
 * @param {Record<string, string>} colours @param {boolean} revealed @param {Size} box
 */
export const costChart = (cost, costs, colours, revealed, { width, height, size }) => {
  const at = cost.show === "milliseconds" ? 2 : 1;
  const box = { width, height, size, left: size * 5.2, right: size * (1.6 + Math.max(...cost.blocks.flatMap(rowsOf).map(widthOf))), top: size * 1.9, bottom: size * 3 };
  /** @type {Line[]} */
  const lines = cost.blocks.map((name) => ({ name, points: costs[name].points.map((point) => [Math.log10(point[0]), Math.log10(Math.max(point[at], 1e-9)), point]) }));
  const axes = axesOf(lines, box);
  const unit = at === 2 ? say("time of one picture, ms") : say("multiply-adds");
  const words = `${unit}: ${lines.map(({ name, points }) => `${called(name)} ${points.map(([, , point]) => `${point[0]}: ${digits(point[at])}`).join(", ")}`).join("; ")}`;
  const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": revealed ? words : unit, "font-size": size });
  picture.append(...grid(lines, axes, box),
    svg("text", { x: (box.left + width - box.right) / 2, y: height - size * 0.4, "text-anchor": "middle", class: "soft" }, `n = H × W, d = ${costs[cost.blocks[0]].channels}`),
    svg("text", { x: box.left, y: size * 1.1, class: "soft" }, unit),
    ...(revealed ? curves(lines, colours, axes, box) : legend(lines, colours, box)));
  return picture;
};
