// What is shown now: the present answer and its bank, their blobs decoded, the pictures in it, and how they are looked at.
/** @import { Answer, AnsweredRow, Decoded, DecodedBank, Look, Row } from "./modules" */
/** @import { Answered, AnswerRow } from "./wire" */
import * as chosen from "./chosen.js";

/** How maps are looked at where nothing else was chosen. */
/** @type {Look} */
export const LOOK = {
  view: "after", overlay: true, opacity: 0.7, smooth: false, threshold: 0, map: "cividis", scale: "kind", steps: "linear", token: false, sinkless: false, layout: "",
  show: "each", first: "1", second: "2",
};

/** @type {{answer: Answer | null, bank: DecodedBank | null, images: Decoded[], pin: number, look: Look}} */
export const now = { answer: null, bank: null, images: [], pin: 0, look: { ...LOOK } };

/** The rows of the stage, one a model, made once. */
/** @type {Row[]} */
export const rows = [];

/** The rows of the models that are chosen. */
export const shownRows = () => rows.slice(0, chosen.models().length);

/** Whether a model's part of an answer is one. */
/** @param {AnswerRow | null | undefined} data @returns {data is Answered} */
export const isAnswered = (data) => Boolean(data) && data?.error === undefined;
/** Whether a row's model has answered. */
/** @param {Row} row @returns {row is AnsweredRow} */
export const hasAnswered = (row) => isAnswered(row.data);

/** For each model the number of the map and of the head that are looked at; null for none, and for the mean. */
export const looked = () => ({
  layers: shownRows().map((row) => row.map), heads: shownRows().map((row) => (row.head < 0 ? null : row.head)),
});
