// Making and finding elements. Text is always text: nothing that came from elsewhere is ever read as markup.
/** @import { Attributes } from "./modules" */

//: How far beyond the screen is near it.
const NEAR_PX = 300;

/** Make an element: {text, class, on…: listener, …} and its children. */
/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} attributes
 * @param {...(Node | string | null | undefined)} children
 */
export const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = /** @type {string} */ (value);
    else if (typeof value === "function") element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
};

/** Make an element of SVG. */
/**
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number>} attributes
 * @param {string | number} [label]
 */
export const svg = (tag, attributes, label) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (label !== undefined) made.textContent = String(label);
  return made;
};

/** Set an element's text without touching the page where it is the same. */
/** @param {Element} element @param {string} text */
export const write = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

/** The first element inside another that a selector finds. Throws where the page has none. */
/** @param {Element} element @param {string} selector @returns {HTMLElement} */
export const need = (element, selector) => {
  const found = element.querySelector(selector);
  if (found instanceof HTMLElement) return found;
  throw new Error(`The page has no “${selector}” here.`);
};

/** An element's children of a kind. */
/**
 * @template {Element} Kind
 * @param {Element} element
 * @param {new () => Kind} kind
 * @returns {Kind[]}
 */
export const childrenOf = (element, kind) => [...element.children].flatMap((one) => (one instanceof kind ? [one] : []));

/** What draws on a canvas. */
/** @param {HTMLCanvasElement} canvas @param {CanvasRenderingContext2DSettings} [settings] */
export const penOf = (canvas, settings) => {
  const pen = canvas.getContext("2d", settings);
  if (pen) return pen;
  throw new Error("This browser does not draw on a canvas.");
};

/** Do something once an element is on the screen or near it, and shown. */
/** @param {Element} element @param {() => void} act */
export const whenNear = (element, act) => {
  const watching = new IntersectionObserver((looks) => {
    if (!looks.some(({ isIntersecting }) => isIntersecting)) return;
    watching.disconnect();
    act();
  }, { rootMargin: `${NEAR_PX}px` });
  watching.observe(element);
};

/** A name that nobody else has: 32 hexadecimal digits. */
export const token = () => [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");
