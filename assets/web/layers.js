// Which layer and head is looked at in each model, as the state keeps it: {0: "path of the layer", 1: "path#head"}.
import { tell } from "./bus.js";
import { layersOf } from "./geometry.js";
import { rows, shownRows } from "./shown.js";
import * as state from "./state.js";
import { say } from "./words.js";

let wanted = {}; // layers that wait for their model's answer

const layersNow = () => Object.fromEntries(shownRows().filter((row) => row.data?.maps && row.map !== null && row.data.maps[row.map])
  .map((row) => [row.index, row.data.maps[row.map].layer + (row.head < 0 ? "" : `#${row.head}`)]));

/** Choose the layers that are wanted in those models that have answered. */
export const chooseLayers = () => {
  const problems = [];
  for (const [index, named] of Object.entries(wanted)) {
    const [, layer, head] = /^(.*?)(?:#(\d+))?$/.exec(named);
    const row = rows[index];
    if (!row?.data) continue;
    delete wanted[index];
    if (row.data.error) continue;
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
  wanted = { ...value };
  chooseLayers();
  tell("look");
  return "";
});
