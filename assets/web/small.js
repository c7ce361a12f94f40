// A map drawn small, in the colours that the large one has.
/** @import { PaintedMap } from "./modules" */
import { coloured } from "./colours.js";
import { ranked } from "./percentile.js";
import { now } from "./shown.js";

/** @param {CanvasRenderingContext2D} context @param {PaintedMap} map */
export const drawSmall = (context, map) => {
  const { values, range } = now.look.steps === "percentile" ? ranked(map) : map;
  context.imageSmoothingEnabled = now.look.smooth;
  context.drawImage(coloured(values, map.rows, map.columns, range, map.valid), 0, 0, context.canvas.width, context.canvas.height);
};
