// Where the parts of the page hear of each other.

const bus = new EventTarget();

/** Tell every listener of a type: "models", "frame", "pins", "ask", "asked", "due", "answered", "bank", "hover", "tab", … */
export const tell = (type, detail) => { bus.dispatchEvent(new CustomEvent(type, { detail })); };

/** Hear what is told of a type. */
export const hear = (type, listener) => { bus.addEventListener(type, (event) => listener(event.detail)); };
