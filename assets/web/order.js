// In which order things are asked: one at a time, and the latest of what is asked meanwhile.

/**
 * Ask one at a time; of what is asked meanwhile only the latest is sent, once the present one is over.
 *   send(asked, isOld): sends it, and is over when its promise is; isOld() says whether something newer waits.
 */
/**
 * @template Asked
 * @param {(asked: Asked, isOld: () => boolean) => Promise<void>} send
 */
export const oneAtATime = (send) => {
  let busy = false;
  /** @type {{asked: Asked} | null} */
  let next = null;
  const run = async () => {
    busy = true;
    try {
      while (next) {
        const { asked } = next;
        next = null;
        await send(asked, () => next !== null);
      }
    } finally {
      busy = false;
    }
  };
  return (/** @type {Asked} */ asked) => {
    next = { asked };
    return busy ? Promise.resolve() : run();
  };
};

/** Seconds until it is asked again, the longer the more often it failed. */
/** @param {number} tries */
export const pauseAfter = (tries) => [1, 2, 4, 8, 15][Math.min(tries, 4)];
