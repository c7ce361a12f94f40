// A scene: its object on its background, laid over each other here, so that the object follows the pointer at once.
"use strict";
(() => {
  const { explorer } = window;
  const { make, write } = explorer;
  const KEPT = 12;

  const layers = new Map(); // a scene as text -> {scene, share, background, object}
  const named = (scene) => JSON.stringify(scene, Object.keys(scene).sort());
  /** Let the picture's place show the scene, or the picture where there is none. */
  explorer.showSource = (scene) => { document.documentElement.dataset.source = scene ? "scene" : "picture"; };

  const learn = async (text) => {
    const { scene, share, ...uris } = JSON.parse(text);
    const [background, object] = await Promise.all(["background", "object"].map(async (name) => {
      const image = new Image();
      image.src = uris[name];
      await image.decode();
      return image;
    }));
    layers.set(named(scene), { scene, share, background, object });
    if (layers.size > KEPT) layers.delete(layers.keys().next().value);
  };

  const known = (scene) => scene && layers.get(named(scene));

  /** Draw the question's scene as it is now; false where its layers are not here yet. */
  const draw = (context, question) => {
    const found = known(question.scene);
    if (!found) return false;
    const { width, height } = context.canvas;
    const [rows, columns] = explorer.question.frame();
    const { dx = 0, dy = 0 } = found.scene;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(found.background, 0, 0, width, height);
    context.save();
    context.translate((0.5 + dx + question.dx / columns) * width, (0.5 + dy + question.dy / rows) * height);
    context.rotate((-question.angle * Math.PI) / 180);
    const across = found.share * question.zoom * width;
    context.drawImage(found.object, -across / 2, -across / 2, across, across);
    context.restore();
    return true;
  };

  const small = document.createElement("canvas");
  /** The same as a model of this input size would see it, nearly; the answer brings what it does see. */
  const preview = (question, [height, width]) => {
    small.width = width;
    small.height = height;
    return draw(small.getContext("2d"), question) ? small : null;
  };

  /** The move of the question's scene: where a place on its object is now, in shares of the frame. */
  const moveOf = ({ scene, dx, dy, zoom, angle }) => {
    const [rows, columns] = explorer.question.frame();
    const [cos, sin] = [zoom * Math.cos((angle * Math.PI) / 180), zoom * Math.sin((angle * Math.PI) / 180)];
    const [x, y] = [0.5 + (scene.dx || 0), 0.5 + (scene.dy || 0)];
    return {
      linear: [[cos, sin], [-sin, cos]],
      offset: [x - cos * x - sin * y + dx / columns, y + sin * x - cos * y + dy / rows],
      cyclic: false,
    };
  };

  explorer.scenery = { preview, moveOf, same: (one, two) => Boolean(one && two) && named(one) === named(two) };

  /** Fields for what makes a scene, from its declaration; `get` gives the scene, `set(change)` changes it. */
  explorer.sceneFields = (described, get, set) => {
    const rows = described.map((one) => {
      const id = `scene-${one.name}`;
      const label = make("label", { for: id, text: one.name });
      if (one.choices.length) {
        const select = make("select", { id, onchange: () => set({ [one.name]: select.value }) },
          ...one.choices.map((choice) => make("option", { value: choice, text: choice })));
        return { one, show: (value) => { select.value = value; }, element: make("div", { class: "field wide", title: one.text }, label, select) };
      }
      const slider = one.whole ? null : make("input", { type: "range", id, min: one.low, max: one.high, step: one.step });
      const number = make("input", {
        type: "number", min: one.low, max: one.high, step: one.step, "aria-label": `${one.name}: ${one.text}${one.unit ? `, ${one.unit}` : ""}`,
      });
      const take = (input) => {
        const value = Number(input.value);
        if (input.value === "" || !(value >= one.low && value <= one.high) || (one.whole && !Number.isInteger(value))) return;
        set({ [one.name]: value });
      };
      number.addEventListener("input", () => take(number));
      number.addEventListener("change", () => { number.value = get()[one.name]; });
      if (slider) slider.addEventListener("input", () => take(slider));
      const show = (value) => {
        if (slider) slider.value = value;
        if (document.activeElement !== number || Number(number.value) !== value) number.value = value;
      };
      if (slider) return { one, show, element: make("div", { class: "field", title: one.text }, label, slider, number, make("span", { class: "unit", text: one.unit === "degrees" ? "°" : one.unit === "x" ? "×" : "" })) };
      number.id = id;
      const other = make("button", { type: "button", class: "quiet", text: "another", onclick: () => set({ [one.name]: (get()[one.name] + 1) % (one.high + 1) }) });
      return { one, show, element: make("div", { class: "field other", title: one.text }, label, number, other) };
    });
    const show = () => {
      const scene = get();
      if (!scene) return;
      const pair = / (above|left of) /.test(scene.label);
      for (const { one, show: put, element } of rows) {
        put(scene[one.name]);
        element.hidden = one.arrangements && !pair;
      }
    };
    return { elements: rows.map(({ element }) => element), show };
  };

  /** The scene as it is now, large, and as the models see it. */
  explorer.scene = ({ element, trigger, props, watch }) => {
    const { fit, fill, cross } = explorer.panels;
    const canvas = make("canvas", { role: "img", tabindex: 0, "aria-label": "The scene" });
    const seen = make("canvas", { role: "img", "aria-label": "The scene as the models see it" });
    const words = make("p");
    const root = element.querySelector(".part");
    root.replaceChildren(make("div", { class: "large" }, canvas), make("div", { class: "seen" }, seen, words));
    let asked = null;

    const show = () => {
      const question = explorer.question.get();
      if (!question.scene || !canvas.clientWidth) return;
      const { answer, images } = explorer.now;
      const context = fit(canvas, [1, 1]);
      const drawn = draw(context, question);
      const row = answer && answer.rows.find((one) => !one.error);
      const current = row && explorer.question.isAnsweredBy(answer);
      const size = row ? row.size : [48, 48];
      const exact = current ? images[row.images[1]].colour : null;
      if (!drawn && exact) fill(context, exact, Infinity);
      const source = exact || preview(question, size);
      if (source) fill(fit(seen, size), source, Math.max(...size));
      const place = explorer.maps.forward(moveOf(question), question.query);
      if (place) cross(context, place);
      write(words, `${size[1]} × ${size[0]} px: what ${answer && answer.rows.some((one) => !one.error && one.size[0] !== size[0]) ? "the first model sees" : "the models see"}`);
      canvas.setAttribute("aria-label", `The scene: ${question.scene.label}, ${question.scene.texture}, on ${question.scene.background}. Drag or use the arrow keys to move the object, plus and minus to scale it.`);
      if (asked !== named(question.scene)) {
        asked = named(question.scene);
        if (!known(question.scene)) trigger("wanted");
      }
    };
    let frame = 0;
    const soon = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(show);
    };
    const receive = async () => {
      if (typeof props.value !== "string" || !props.value) return;
      await learn(props.value);
      soon();
    };

    explorer.steer(canvas, { ask: (place) => explorer.askFrom(moveOf(explorer.question.get()), place) });
    explorer.hear("asked", soon);
    explorer.hear("query", soon);
    explorer.hear("answered", soon);
    new ResizeObserver(soon).observe(root);
    const begin = () => {
      if (!explorer.question) { setTimeout(begin, 10); return; }
      receive();
      watch("value", receive);
      soon();
    };
    begin();
  };
})();
