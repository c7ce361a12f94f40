// What is shown now: the present answer and its bank, their blobs decoded, the pictures in it, and how they are looked at.

import * as chosen from "./chosen.js";

/** How maps are looked at where nothing else was chosen. */
export const LOOK = {
  view: "after", overlay: true, opacity: 0.7, smooth: false, threshold: 0, map: "cividis", scale: "kind", token: false, layout: "",
};

export const now = { answer: null, bank: null, images: [], pin: 0, look: { ...LOOK } };

/** The rows of the stage, one a model, made once: {index, data, answer, layer, part, head, map, missing, element, …}. */
export const rows = [];

/** The rows of the models that are chosen. */
export const shownRows = () => rows.slice(0, chosen.models().length);

/** For each model the number of the map and of the head that are looked at; null for none, and for the mean. */
export const looked = () => ({
  layers: shownRows().map((row) => row.map), heads: shownRows().map((row) => (row.head < 0 ? null : row.head)),
});
