// Where the parts of the page hear of each other.

const bus = new EventTarget();

/** Tell every listener of a type: "models", "frame", "pins", "ask", "asked", "due", "answered", "bank", "hover", "tab", … */
/** @param {string} type @param {any} [detail] */
export const tell = (type, detail) => { bus.dispatchEvent(new CustomEvent(type, { detail })); };

/** Hear what is told of a type. */
/** @param {string} type @param {(detail: any) => void} listener */
export const hear = (type, listener) => { bus.addEventListener(type, (event) => listener(/** @type {CustomEvent} */ (event).detail)); };
