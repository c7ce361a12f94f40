import assert from "node:assert/strict";
import { test } from "node:test";
import { read, write } from "./link-text.js";

const STATE = {
  models: ["lab/conv", "random/resnet18+mhsa@3#1", "hf-hub:a b/c,d"],
  question: {
    dx: -3.5, dy: 0, zoom: 1.2, angle: 90, pins: [{ x: 0.25, y: 0.5 }, { x: 0.125, y: 0 }], pin: "place", method: "gradcam",
    scene: { label: "triangle above circle", seed: 3, noise: 0.04 }, parameters: { n_steps: 20 },
  },
  tab: "biases", bias: 3, look: { view: "pulled", opacity: 0.5, smooth: true }, layers: { 0: "blocks.1 (row)#2" },
};

test("what is written is read again", () => {
  const { state, unread } = read(`#${write(STATE)}`);
  assert.deepEqual(state, STATE);
  assert.deepEqual(unread, []);
});

test("a photograph has no scene, and the other way round", () => {
  const question = { ...STATE.question, scene: null, picture: "cat", parameters: {} };
  const text = write({ models: ["a"], question });
  assert.match(text, /&picture=cat/);
  assert.equal(read(text).state.question.scene, null);
  assert.doesNotMatch(write({ models: ["a"], question: { ...STATE.question, picture: "cat" } }), /picture/);
});

test("nothing stands for what is empty", () => {
  assert.equal(write({ models: ["a"], question: { parameters: {} }, tab: "", lecture: null, layers: {} }), "models=a");
});

test("what makes no sense is left out and named; what others keep is left alone", () => {
  const { state, unread } = read("#models=%E0%A4%A&tab=lab&lang=zh&dx=5");
  assert.deepEqual(unread, ["models"]);
  assert.deepEqual(state, { tab: "lab", question: { dx: 5 } });
});
