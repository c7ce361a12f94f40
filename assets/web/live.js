// Asking the server while something moves, by gradio's server functions; and what becomes of it when the server is away,
// starts anew, is full or takes long. explorer/ui/live.py says what goes over and what comes back.
/** @import { Call } from "./modules" */
/** @import { Asking, Reply } from "./wire" */
import { hear } from "./bus.js";
import { make, token, write } from "./dom.js";
import { oneAtATime, pauseAfter } from "./order.js";
import { msg, say, sentence } from "./words.js";

const SLOW_MS = 3000;
const TICK_MS = 250;
const SOON_MS = 1000;
//: A server that works is asked this often whether it is there, which takes it this long at most.
const CHECK_MS = 5000;
//: A request that failed once is sent again after so long without a word: connections break now and then.
const BLIP_MS = 300;
//: What a proxy answers where the server behind it is away.
const AWAY = [502, 503, 504];

/** @type {Record<string, string>} */
const TOLD = {
  away: msg("The server cannot be reached. The page keeps what you see and asks again in {n} s."),
  full: msg("Many are asking at once. The page asks again in {n} s."),
  busy: msg("Many are asking at once. The page asks again in {n} s."),
  old: msg("This page's session has ended; nothing is lost."),
};

//: This page among all that are open anywhere; the server tells by it which of two requests is the newer one.
const page = token();
let build = "";
let number = 0;
const now = () => performance.now();
/** @param {number} ms */
const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

// ---- what is said

/** @type {{kind: string, since: number, until: number} | null} */
let trouble = null;
let tries = 0;
let blipped = false; // whether a request failed since the last that did not
let hurry = () => {};
/** @type {Set<{since: number}>} since when each answer is awaited */
const slow = new Set();

const text = make("p", { "aria-hidden": "true" });
// The counting down is for the eye; it would be read out every second.
const spoken = make("span", { class: "spoken" });
const again = make("button", { type: "button", onclick: () => hurry() });
const reload = make("button", { type: "button", onclick: () => location.reload() });
const bar = make("div", { id: "net", class: "part", role: "status" }, text, spoken, again, reload);
let shown = "";

const show = () => {
  const oldest = Math.min(...[...slow].map((one) => one.since));
  const late = !trouble && now() - oldest > SLOW_MS;
  const kind = trouble ? trouble.kind : late ? "slow" : "";
  const seconds = late ? Math.floor((now() - oldest) / 1000) : trouble ? Math.max(0, Math.ceil((trouble.until - now()) / 1000)) : 0;
  if (kind) write(text, late ? say("Still computing: {n} s.", { n: seconds }) : say(TOLD[kind], { n: seconds }));
  if (kind === shown) return;
  shown = kind;
  if (!bar.isConnected) document.body.append(bar);
  bar.dataset.kind = kind;
  write(spoken, kind ? text.textContent : "");
  write(again, say("Ask again now"));
  write(reload, say("Reload"));
  again.hidden = !["away", "full", "busy"].includes(kind);
  reload.hidden = kind !== "old";
};

// Nothing ticks while nothing is asked and nothing is wrong.
let ticking = false;
const tick = () => {
  ticking = false;
  show();
  if (slow.size || (trouble && trouble.kind !== "old")) watchOn();
};
const watchOn = () => {
  if (ticking) return;
  ticking = true;
  setTimeout(tick, TICK_MS);
};
const calm = () => { trouble = null; tries = 0; blipped = false; show(); };

// ---- waiting

/** What is wrong: "away", "old" for a server with another page, "full" for one that is there and did not answer. */
const reason = async () => {
  try {
    const answer = await fetch(new URL("build", import.meta.url), { cache: "no-store", signal: AbortSignal.timeout(CHECK_MS) });
    if (AWAY.includes(answer.status)) return /full/i.test(await answer.text()) ? "full" : "away";
    if (answer.status === 404) return "old";
    return answer.ok && (await answer.text()) !== build ? "old" : "full";
  } catch { return "away"; }
};

/** Whether the server that made this page can be asked now. */
export const isThere = async () => (await reason()) === "full";

/** @param {string} kind @returns {Promise<void>} */
const countDown = (kind) => new Promise((done) => {
  const seconds = pauseAfter(tries++);
  trouble = { kind, since: now(), until: now() + 1000 * seconds };
  const over = setTimeout(done, 1000 * seconds);
  hurry = () => { clearTimeout(over); done(); };
  show();
  watchOn();
});

/** Only loading the page helps. */
const ended = () => {
  trouble = { kind: "old", since: now(), until: now() };
  show();
  return new Promise(() => {});
};

/** @type {Promise<void> | null} */
let waiting = null;
/** Wait until it makes sense to ask again; all that fail meanwhile wait for the same. */
/** @param {string} kind */
const wait = (kind) => waiting ??= (async () => {
  while (kind === "away") {
    await countDown(kind);
    const found = await reason();
    if (found === "old") await ended();
    if (found !== "away") { trouble = null; show(); break; }
  }
  if (kind !== "away") await countDown(kind);
  waiting = null;
})();

// ---- asking

/** What a call comes to; undefined where it fails, or nobody is at the other end any more. */
/** @param {Call} call @param {Asking} body @returns {Promise<Reply | null | undefined>} */
const called = async (call, body) => {
  let settled = false;
  const lost = async () => {
    while (!settled) {
      await sleep(CHECK_MS);
      if (settled || (await reason()) !== "away") continue;
      return undefined;
    }
    return undefined;
  };
  try {
    return await Promise.race([/** @type {Promise<Reply | null>} */ (call(body)), lost()]);
  } catch { return undefined; } finally { settled = true; }
};

/**
 * Make what asks one kind of question, one request at a time, the latest next.
 *   call: the server's function.  deliver(ok): takes an answer.  failed(sentence): is told what is wrong with what was asked.
 *   told: whether the page says that it is still computed.
 * The result is called with a function that composes the arguments when they are sent.
 */
/**
 * @template Ok
 * @param {Call} call
 * @param {{deliver: (ok: Ok) => unknown, failed?: (sentence: string) => void, told?: boolean}} how
 * @returns {(compose: () => object) => Promise<void>}
 */
export const asking = (call, { deliver, failed = () => {}, told = false }) => oneAtATime(async (compose, isOld) => {
  for (;;) {
    const awaited = { since: now() };
    if (told) { slow.add(awaited); watchOn(); }
    const reply = await called(call, { page, build, number: ++number, asked: compose() });
    slow.delete(awaited);
    if (reply && !reply.error) {
      calm();
      await deliver(/** @type {Ok} */ (reply.ok));
      return;
    }
    const kind = reply?.error ? reply.error.kind : await reason();
    if (kind === "superseded") { show(); return; }
    if (kind === "old") await ended();
    if (kind === "full" && !blipped) {
      blipped = true;
      await sleep(BLIP_MS);
    } else if (["away", "full", "busy"].includes(kind)) await wait(kind);
    else {
      calm();
      if (reply?.error) failed(sentence(reply.error));
      return;
    }
    if (isOld()) return;
  }
});

/** Begin on a page of this build. */
/** @param {string} made */
export const begin = (made) => {
  build = made;
  // Who drags wants to know now whether the server is back.
  hear("asked", () => { if (trouble && trouble.kind === "away" && now() - trouble.since > SOON_MS) hurry(); });
  addEventListener("online", () => hurry());
};
