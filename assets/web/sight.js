// What of the page is in sight where a frame is taller than its window, as a hub makes it: there the window scrolls and not
// the page, so that what should stay would go. No frame may ask where it stands; but of each strip down its side the browser
// tells whether it is seen.
import { make } from "./dom.js";

//: Height of a strip, px, and the parts of it at which the browser tells.
const STRIP = 24;
const PARTS = [0, 0.25, 0.5, 0.75, 1];

/** Where the part in sight ends, px from the frame's upper edge. */
let end = Infinity;
export const bottom = () => Math.min(end, innerHeight);

/** Keep what styles have of it, --seen-top and --seen-height, as the window scrolls. */
export const begin = () => {
  if (parent === window) return;
  const { style } = document.documentElement;
  const strips = make("div", { class: "sight", "aria-hidden": "true" });
  /** @type {Map<Element, DOMRectReadOnly>} */
  const seen = new Map();
  const tell = () => {
    const places = [...seen.values()];
    if (!places.length) return; // out of sight altogether: where it was will do
    const top = Math.min(...places.map((one) => one.top));
    end = Math.max(...places.map((one) => one.bottom));
    if (top <= 0 && end >= innerHeight) {
      style.removeProperty("--seen-top");
      style.removeProperty("--seen-height");
    } else {
      style.setProperty("--seen-top", `${top}px`);
      style.setProperty("--seen-height", `${end - top}px`);
    }
  };
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting, intersectionRect } of entries) {
      if (isIntersecting) seen.set(target, intersectionRect);
      else seen.delete(target);
    }
    tell();
  }, { threshold: PARTS });
  const watch = () => {
    observer.disconnect();
    seen.clear();
    strips.replaceChildren(...Array.from({ length: Math.ceil(innerHeight / STRIP) }, (_, place) => {
      const strip = make("i", {});
      strip.style.top = `${place * STRIP}px`;
      strip.style.height = `${Math.min(STRIP, innerHeight - place * STRIP)}px`;
      observer.observe(strip);
      return strip;
    }));
  };
  document.body.append(strips);
  addEventListener("resize", watch);
  watch();
};
