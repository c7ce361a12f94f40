// A block's diagram, drawn where the library says that its boxes and arrows stand.
/** @import { Diagram } from "./wire" */
import { svg } from "./dom.js";
import { say } from "./words.js";

/** How far the tip of an arrow reaches beyond its curve, and to each side of it, px. */
const TIP = { below: 4.5, above: 1, beside: 3.5 };
/** The small box before the words that say what is outlined, px. */
const SAMPLE = { width: 14, height: 11, room: 20 };

/** The commands of a path, by the number of a point. */
const COMMANDS = ["M", "C", " ", " ", "L", "C", " ", " "];

/** @param {[number, number][]} points */
const path = (points) => points.map(([x, y], at) => `${COMMANDS[at]}${x} ${y}`).join("");

/** @param {[number, number][]} points */
const arrow = (points) => {
  const [x, y] = points[points.length - 1];
  const tip = `M${x - TIP.beside} ${y - TIP.above}L${x} ${y + TIP.below}L${x + TIP.beside} ${y - TIP.above}z`;
  return [svg("path", { class: "arrow", d: path(points) }), svg("path", { class: "tip", d: tip })];
};

/** @param {Diagram["boxes"][number]} box */
const box = ({ label, role, at: [x, y], size: [width, height] }) => [
  role === "join" ? svg("circle", { class: "step", cx: x, cy: y, r: width / 2 })
    : svg("rect", { class: role, x: x - width / 2, y: y - height / 2, width, height, rx: 7 }),
  svg("text", { class: role, x, y, dy: "0.35em", "text-anchor": "middle" }, say(label)),
];

/** Draw a diagram. */
/** @param {Diagram} found @param {string} title what it shows, for those who do not see it */
export const diagram = ({ width, height, boxes, arrows, key }, title) => {
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, width: "100%", style: `max-width: ${width}px`, role: "img", "aria-label": title });
  drawn.append(...arrows.flatMap(arrow), ...boxes.flatMap(box));
  if (key) {
    const [x, y] = key;
    drawn.append(svg("rect", { class: "map", x, y: y - 6, width: SAMPLE.width, height: SAMPLE.height, rx: 3 }),
      svg("text", { class: "key", x: x + SAMPLE.room, y, dy: "0.35em" }, say("what is shown as its map")));
  }
  return drawn;
};
