// Which layer and head is looked at in each model, as the state keeps it: {0: "path of the layer", 1: "path#head"}.
/** @import { AnsweredRow } from "./modules" */
import { tell } from "./bus.js";
import { layersOf } from "./geometry.js";
import { hasAnswered, rows, shownRows } from "./shown.js";
import * as state from "./state.js";
import { say } from "./words.js";

/** @type {Record<string, unknown>} */
let wanted = {}; // layers that wait for their model's answer

/** @param {AnsweredRow} row */
const mapOf = (row) => (row.map === null ? undefined : row.data.maps[row.map]);
const layersNow = () => Object.fromEntries(shownRows().filter(hasAnswered).flatMap((row) => {
  const map = mapOf(row);
  return map ? [[row.index, map.layer + (row.head < 0 ? "" : `#${row.head}`)]] : [];
}));

/** Choose the layers that are wanted in those models that have answered. */
export const chooseLayers = () => {
  const problems = [];
  for (const [index, named] of Object.entries(wanted)) {
    const [, layer = "", head = undefined] = /^(.*?)(?:#(\d+))?$/.exec(String(named)) || [];
    const row = rows[Number(index)];
    if (!row?.data) continue;
    delete wanted[index];
    if (!hasAnswered(row)) continue;
    const number = row.data.maps.findIndex((map) => map.layer === layer);
    if (number < 0) { problems.push(say("{model} has no attention map of the layer “{layer}”.", { model: row.data.asked, layer })); continue; }
    row.layer = layersOf(row.data.maps).findIndex(({ numbers }) => numbers.includes(number));
    row.part = row.data.maps[number].part;
    row.head = head === undefined ? -1 : Number(head);
  }
  if (problems.length) tell("unrestored", problems);
};

/** Keep the layers in the state. */
export const keepLayers = () => state.keep("layers", layersNow, (value) => {
  wanted = { .../** @type {object} */ (value) };
  chooseLayers();
  tell("look");
  return "";
});
