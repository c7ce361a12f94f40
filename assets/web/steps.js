// Which of the visitor's changes are one step of the history: tested in steps.test.js.

//: Changes that follow each other faster are one step: keys held down, a wheel that is turned, a number that is typed.
export const PAUSE_MS = 700;

/**
 * Sort changes into steps: {press, release, did, forget, mayReplace}.
 *   push(): makes an entry of what is shown.  now(): time, ms.
 */
/** @param {{push: () => void, now: () => number}} how */
export const steps = ({ push, now }) => {
  let last = -Infinity; // when the step that goes on was last changed
  let held = false;
  let waits = false; // whether a step becomes an entry once the hand lets go
  const release = () => {
    held = false;
    if (!waits) return;
    waits = false;
    push();
  };
  return {
    /** The visitor begins something else, and `holds` on to it or not: what went on before is over. */
    press: (/** @type {boolean} */ holds) => {
      release();
      last = -Infinity;
      held = holds;
    },
    /** The hand lets go: what it dragged is one step. */
    release,
    /** The visitor changed something. */
    did: () => {
      const goesOn = waits || now() - last < PAUSE_MS;
      last = now();
      if (goesOn) return;
      // A browser may pass over entries that were made before a touch has ended.
      if (held) waits = true;
      else push();
    },
    /** What was under way is none of the history's any more: another entry is shown. */
    forget: () => {
      held = waits = false;
      last = -Infinity;
    },
    /** Whether what is shown belongs to the present entry: not while the hand drags on to the next. */
    mayReplace: () => !waits,
  };
};
