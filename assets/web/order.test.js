import assert from "node:assert/strict";
import { test } from "node:test";
import { oneAtATime, pauseAfter } from "./order.js";

/** A sender whose requests end when they are told to. */
const sender = () => {
  /** @type {{asked: unknown, isOld: () => boolean, done: () => void, fail: (why: Error) => void}[]} */
  const sent = [];
  /** @param {unknown} asked @param {() => boolean} isOld @returns {Promise<void>} */
  const send = (asked, isOld) => new Promise((done, fail) => { sent.push({ asked, isOld, done, fail }); });
  return { sent, ask: oneAtATime(send) };
};
const turn = () => new Promise((done) => { setTimeout(done); });

test("one is under way at a time, and of those that wait the latest is next", async () => {
  const { sent, ask } = sender();
  ask(1);
  ask(2);
  ask(3);
  assert.deepEqual(sent.map((one) => one.asked), [1]);
  assert.equal(sent[0].isOld(), true);
  sent[0].done();
  await turn();
  assert.deepEqual(sent.map((one) => one.asked), [1, 3]);
  assert.equal(sent[1].isOld(), false);
  sent[1].done();
  await turn();
  assert.equal(sent.length, 2);
});

test("what is asked after all is over is sent at once", async () => {
  const { sent, ask } = sender();
  ask("a");
  sent[0].done();
  await turn();
  ask("b");
  assert.equal(sent.length, 2);
});

test("a sender that breaks does not block what comes after it", async () => {
  const { sent, ask } = sender();
  const first = ask("a");
  sent[0].fail(new Error("broken"));
  await assert.rejects(first, /broken/);
  ask("b");
  assert.deepEqual(sent.map((one) => one.asked), ["a", "b"]);
});

test("the pauses grow, up to a quarter of a minute", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 100].map(pauseAfter), [1, 2, 4, 8, 15, 15, 15]);
});
