// Moving and asking with pointer, wheel and keys: the same on every picture.
"use strict";
(() => {
  const { explorer } = window;
  const DRAG_PX = 4;
  const ZOOM = { least: 0.25, most: 4, key: 1.1, wheel: 0.01 };

  explorer.clampShare = (value) => Math.min(Math.max(value, 0), 1 - 1e-9);
  const between = (value, low, high) => Math.min(Math.max(value, low), high);

  /** Where a pointer is, in shares of a canvas. */
  explorer.placeOf = (canvas, event) => {
    const box = canvas.getBoundingClientRect();
    return {
      x: explorer.clampShare((event.clientX - box.left) / box.width),
      y: explorer.clampShare((event.clientY - box.top) / box.height),
    };
  };

  /** Change the move. A scene is rendered anew wherever its object is; a picture goes by whole pixels, which is exact. */
  const move = (change) => {
    const { scene } = explorer.question.get();
    const [height, width] = explorer.question.frame();
    const grid = scene ? 8 : 1;
    const shift = (value, size) => Math.round((scene ? between(value, -size, size) : value) * grid) / grid;
    const next = {};
    if ("dx" in change) next.dx = shift(change.dx, width);
    if ("dy" in change) next.dy = shift(change.dy, height);
    if ("zoom" in change) next.zoom = Number(between(change.zoom, ZOOM.least, scene ? Math.min(ZOOM.most, 4 / scene.scale) : ZOOM.most).toFixed(2));
    explorer.question.set(next);
  };

  /**
   * Let a canvas move what is shown and ask from places in it.
   *   ask(place): a click, place in shares of the canvas; null where a click asks nothing.
   *   hover(event): the pointer is over it. movable(): whether a drag moves anything now.
   */
  explorer.steer = (canvas, { ask = null, hover = null, movable = () => true }) => {
    let start = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const { dx, dy } = explorer.question.get();
      start = { x: event.clientX, y: event.clientY, dx, dy, moved: false };
      if (movable()) canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (hover) hover(event);
      if (!start || !movable()) return;
      const [across, down] = [event.clientX - start.x, event.clientY - start.y];
      if (!start.moved && Math.hypot(across, down) < DRAG_PX) return;
      start.moved = true;
      const box = canvas.getBoundingClientRect();
      const [height, width] = explorer.question.frame();
      move({ dx: start.dx + (across / box.width) * width, dy: start.dy + (down / box.height) * height });
    });
    canvas.addEventListener("pointerup", (event) => {
      if (start && !start.moved && ask) ask(explorer.placeOf(canvas, event));
      start = null;
    });
    canvas.addEventListener("pointercancel", () => { start = null; });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey || !movable()) return; // a pinch on a trackpad; a plain wheel scrolls the page
      event.preventDefault();
      move({ zoom: explorer.question.get().zoom * Math.exp(-event.deltaY * ZOOM.wheel) });
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const { dx, dy, zoom, query } = explorer.question.get();
      const [, width] = explorer.question.frame();
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (step && event.shiftKey) {
        const pace = 1 / 24;
        explorer.tell("ask", { x: explorer.clampShare(query.x + step[0] * pace), y: explorer.clampShare(query.y + step[1] * pace) });
      } else if (step) {
        const pace = Math.max(1, Math.round(width / 48));
        move({ dx: dx + step[0] * pace, dy: dy + step[1] * pace });
      } else if (event.key === "+" || event.key === "=") move({ zoom: zoom * ZOOM.key });
      else if (event.key === "-") move({ zoom: zoom / ZOOM.key });
      else return;
      event.preventDefault();
    });
  };
})();
