// The browser's history: an entry a step of the visitor's, so that Back and Ctrl+Z undo it, Forward and Ctrl+Y redo it.
// What follows of itself, as an answer, a lesson's step or another tab, belongs to the entry that it came with.
/** @import { State } from "./modules" */
import { hear, tell } from "./bus.js";
import * as state from "./state.js";
import { steps } from "./steps.js";
import * as ways from "./ways.js";

const WAIT_MS = 300;
//: Where what is typed is undone by the browser.
const TYPED = "textarea, [contenteditable=true], input:not([type=range], [type=checkbox], [type=radio], [type=file], [type=button])";

/** @type {() => string} what is shown as the part of an address from the # on */
let written = () => "";
/** @type {(hash: string) => void} is told of each address */
let told = () => {};
let step = 0; // number of the present entry
let most = 0; // of the last that can be gone forward to

/** @param {unknown} kept @returns {kept is {step: number, shown: State}} */
const isOurs = (kept) => Boolean(kept) && typeof kept === "object" && kept !== null && "step" in kept && "shown" in kept;

/** Keep what is shown in the present entry, or in an entry of its own. */
/** @param {boolean} anew */
const keep = (anew) => {
  const hash = written();
  if (anew && hash === location.hash) return;
  if (anew) most = ++step;
  const kept = { ...history.state, step, shown: state.get() };
  const address = `${location.pathname}${location.search}${hash}`;
  if (anew) history.pushState(kept, "", address);
  else history.replaceState(kept, "", address);
  told(hash);
};

const { press, release, did, forget, mayReplace } = steps({ push: () => keep(true), now: () => performance.now() });

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
const write = () => {
  clearTimeout(timer);
  timer = undefined;
  if (mayReplace()) keep(false);
};
const later = () => {
  clearTimeout(timer);
  timer = setTimeout(write, WAIT_MS);
};
const flush = () => { if (timer) write(); };

/** Put on the page what an entry keeps; a lesson brings what it shows by itself. */
/** @param {State} shown */
const restore = (shown) => {
  tell("restoring", shown);
  const { tab, lecture, ...rest } = shown;
  if (tab === "lecture") state.apply({ tab, lecture });
  else state.apply(Object.fromEntries(Object.entries({ tab, ...rest }).filter(([, value]) => value !== "")));
};

/** Ctrl+Z, and its kin; Cmd on a Mac. */
/** @param {KeyboardEvent} event */
const byKey = (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || event.defaultPrevented) return;
  const key = event.key.toLowerCase();
  const by = key === "z" ? (event.shiftKey ? 1 : -1) : key === "y" && !event.shiftKey ? 1 : 0;
  if (!by || ways.current() === "lecture" || document.querySelector("dialog[open]")) return;
  if (event.target instanceof Element && event.target.closest(TYPED)) return;
  event.preventDefault();
  if (!mayReplace()) return; // in the middle of a drag
  flush();
  // The keys never leave the page; Back does.
  if (step + by >= 0 && step + by <= most) history.go(by);
};

/** The hand takes hold, lets go, or does something at once. */
const follow = () => {
  addEventListener("pointerdown", (event) => {
    if (!event.isPrimary) return;
    flush();
    press(true);
  }, { capture: true });
  for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) addEventListener(end, release, { capture: true });
  addEventListener("blur", ({ target }) => { if (target === window) release(); });
  const atOnce = () => { flush(); press(false); };
  addEventListener("click", atOnce, { capture: true });
  addEventListener("change", ({ target }) => { if (target instanceof Element && target.matches("select, [type=checkbox]")) atOnce(); }, { capture: true });
};

/**
 * Keep the history from now on.
 *   address(): what is shown, as the part of an address from the # on.  hears(hash): is told of each address.
 *   read(): puts on the page what an address says that somebody wrote or followed.
 */
/** @param {{address: () => string, hears: (hash: string) => void, read: () => void}} how */
export const begin = ({ address, hears, read }) => {
  [written, told] = [address, hears];
  if (isOurs(history.state)) step = most = history.state.step;
  hear("did", () => {
    // A lesson goes by its own keys.
    if (ways.current() !== "lecture") did();
    later();
  });
  for (const news of /** @type {const} */ (["asked", "pins", "looked", "models", "tab", "answered", "state"])) hear(news, later);
  addEventListener("popstate", (event) => {
    if (!isOurs(event.state)) return;
    clearTimeout(timer);
    forget();
    step = event.state.step;
    most = Math.max(most, step);
    restore(event.state.shown);
  });
  addEventListener("hashchange", () => {
    if (isOurs(history.state)) return;
    most = ++step;
    read();
    later();
  });
  addEventListener("keydown", byKey);
  follow();
  later();
};
