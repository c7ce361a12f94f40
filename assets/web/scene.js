// What is shown: a scene's object on its background, or a photograph, drawn here so that it follows the pointer at once.
"use strict";
(() => {
  const { explorer } = window;
  const { make, write, say } = explorer;
  const KEPT = 12;

  const layers = new Map(); // a scene as text -> {scene, share, background, object}
  const named = (scene) => JSON.stringify(scene, Object.keys(scene).sort());

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

  /** Draw the photograph as it is now, from what the models saw of it before the move; false where that is not here. */
  const drawPicture = (context, question) => {
    const { answer, images } = explorer.now;
    const row = answer && !answer.at.scene && answer.at.picture === question.picture && answer.rows.find((one) => !one.error);
    if (!row) return false;
    const { width, height } = context.canvas;
    const { linear: [[a, b], [c, d]], offset } = moveOf(question);
    const { colour } = images[row.images[0]];
    context.fillStyle = explorer.hatch(context);
    context.fillRect(0, 0, width, height);
    context.save();
    context.imageSmoothingEnabled = true;
    context.setTransform(a, c * (height / width), b * (width / height), d, offset[0] * width, offset[1] * height);
    context.drawImage(colour, 0, 0, width, height);
    context.restore();
    return true;
  };

  const small = document.createElement("canvas");
  /** The same as a model of this input size would see it, nearly; the answer brings what it does see. Null: not known yet. */
  const preview = (question, [height, width]) => {
    const scale = width > 112 ? 1 : Math.max(1, Math.floor(384 / width));
    small.width = width * scale;
    small.height = height * scale;
    const context = small.getContext("2d");
    if (!(question.scene ? draw(context, question) : drawPicture(context, question))) return null;
    if (scale === 1) return small;
    const out = document.createElement("canvas");
    out.width = width;
    out.height = height;
    const shrunk = out.getContext("2d");
    shrunk.imageSmoothingQuality = "high";
    shrunk.drawImage(small, 0, 0, width, height);
    return out;
  };

  /** What becomes of places by the move as it is now: {linear, offset} on shares of the frame, about an object or the middle. */
  const moveOf = ({ scene, dx, dy, zoom, angle, flip, border }) => {
    const [rows, columns] = explorer.question.frame();
    const [cos, sin] = [zoom * Math.cos((angle * Math.PI) / 180), zoom * Math.sin((angle * Math.PI) / 180)];
    const [x, y] = [0.5 + (scene ? scene.dx || 0 : 0), 0.5 + (scene ? scene.dy || 0 : 0)];
    const tall = rows / columns;
    let linear = [[cos, sin * tall], [-sin / tall, cos]];
    let offset = [x - linear[0][0] * x - linear[0][1] * y, y - linear[1][0] * x - linear[1][1] * y];
    if (flip && !scene) {
      linear = [[-linear[0][0], -linear[0][1]], linear[1]];
      offset = [1 - offset[0], offset[1]];
    }
    return {
      linear,
      offset: [offset[0] + dx / columns, offset[1] + dy / rows],
      cyclic: !scene && border === "wrap" && zoom === 1 && (angle % 180 === 0 || (rows === columns && angle % 90 === 0)),
    };
  };

  /** Show something else: it is asked about at once, but where a lesson has the workbench, after it. */
  explorer.shows = (change) => explorer.question.set(change);

  explorer.scenery = {
    preview, moveOf, same: (one, two) => Boolean(one) === Boolean(two) && (!one || named(one) === named(two)),
  };

  /** Fields for what makes a scene, from its declaration; `get` gives the scene, `set(change)` changes it. */
  explorer.sceneFields = (described, get, set) => {
    const rows = described.map((one) => {
      const id = `scene-${one.name}`;
      const name = say(one.name);
      const label = make("label", { for: id, text: name });
      if (one.choices.length) {
        const select = make("select", { id, onchange: () => set({ [one.name]: select.value }) },
          ...one.choices.map((choice) => make("option", { value: choice, text: say(choice) })));
        return { one, show: (value) => { select.value = value; }, element: make("div", { class: "field wide", title: say(one.text) }, label, select) };
      }
      const slider = one.whole ? null : make("input", { type: "range", id, min: one.low, max: one.high, step: one.step });
      const number = make("input", {
        type: "number", min: one.low, max: one.high, step: one.step, "aria-label": `${name}: ${say(one.text)}${one.unit ? `, ${say(one.unit)}` : ""}`,
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
      if (slider) return { one, show, element: make("div", { class: "field", title: say(one.text) }, label, slider, number, make("span", { class: "unit", text: one.unit === "degrees" ? "°" : one.unit === "x" ? "×" : "" })) };
      number.id = id;
      const other = make("button", { type: "button", class: "quiet", text: say("another"), onclick: () => set({ [one.name]: (get()[one.name] + 1) % (one.high + 1) }) });
      return { one, show, element: make("div", { class: "field other", title: say(one.text) }, label, number, other) };
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

  /** What is shown as it is now, large, and as the models see it. */
  explorer.scene = ({ element, trigger, props, watch }) => {
    const { fit, fill, drawPins } = explorer.panels;
    const canvas = make("canvas", { role: "img", tabindex: 0, "aria-label": say("What is shown") });
    const seen = make("canvas", { role: "img", "aria-label": say("The same as the models see it") });
    const words = make("p");
    const hint = make("p", { class: "nudge", "aria-hidden": "true", text: say("Drag me") });
    const root = element.querySelector(".part");
    root.replaceChildren(make("div", { class: "large" }, canvas, hint), make("div", { class: "seen" }, seen, words));
    let asked = null;

    const show = () => {
      const question = explorer.question.get();
      if (!explorer.panels.widthOf(canvas)) return;
      const { answer, images } = explorer.now;
      const row = answer && answer.rows.find((one) => !one.error);
      const size = row ? row.size : [48, 48];
      const context = fit(canvas, question.scene ? [1, 1] : size);
      const current = row && explorer.question.isAnsweredBy(answer);
      const exact = current ? images[row.images[1]].colour : null;
      if (exact && !question.scene) {
        fill(context, exact, Infinity);
        explorer.panels.hatchBorder(context, row.move);
      } else if (!(question.scene ? draw(context, question) : drawPicture(context, question))) {
        if (exact) fill(context, exact, Infinity);
        else { context.fillStyle = explorer.hatch(context); context.fillRect(0, 0, canvas.width, canvas.height); }
      }
      const source = exact || preview(question, size);
      if (source) fill(fit(seen, size), source, Math.max(...size));
      drawPins(context, moveOf(question));
      const first = answer && answer.rows.some((one) => !one.error && one.size[0] !== size[0]);
      write(words, say(first ? "{width} × {height} px: what the first model sees" : "{width} × {height} px: what the models see", { width: size[1], height: size[0] }));
      const what = question.scene
        ? say("The scene: {label}, {texture}, on {background}.", { label: question.scene.label, texture: question.scene.texture, background: question.scene.background })
        : say("The photograph {name}.", { name: question.picture.startsWith("own:") ? say("of your own") : question.picture });
      const at = say("Moved by {dx} px to the right and {dy} px down, zoom {zoom}.", { dx: question.dx, dy: question.dy, zoom: question.zoom });
      canvas.setAttribute("aria-label", `${what} ${at} ${say("Drag or use the arrow keys to move it, plus and minus to rescale it, 0 to put it back; W, A, S and D move the pin.")}`);
      if (question.scene && asked !== named(question.scene)) {
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

    explorer.steer(canvas, { wheel: true, hover: () => explorer.tell("hover"), ask: (place, event) => explorer.askFrom(moveOf(explorer.question.get()), place, event) });
    explorer.hear("asked", () => {
      const { dx, dy, zoom } = explorer.question.get();
      if (dx || dy || zoom !== 1) hint.hidden = true;
      soon();
    });
    explorer.hear("pins", soon);
    explorer.hear("answered", soon);
    explorer.hear("resized", soon);
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
