// The question: how the picture is moved, where attention is asked from, which attribution. Its value is one object.
"use strict";
(() => {
  const { explorer } = window;
  const { make, write } = explorer;
  // Names of methods as the field writes them, where that is not the name with spaces.
  const NAMES = {
    gradcam: "Grad-CAM", smoothgrad: "SmoothGrad", deeplift: "DeepLIFT", guided_gradcam: "guided Grad-CAM", input_x_gradient: "input × gradient",
  };

  explorer.controls = ({ element, trigger, props }) => {
    const { moves, methods, method: firstMethod, scene: sceneFields } = props.options;
    const question = { method: firstMethod, query: { x: 0.5, y: 0.5 }, parameters: {}, scene: props.value.scene || null };
    for (const move of moves) question[move.name] = move.default;
    let frame = [224, 224];
    const fields = {};

    const publish = (ask = true) => {
      const asked = JSON.parse(JSON.stringify(question));
      // What is rendered anew is neither mirrored nor filled in.
      if (question.scene) for (const move of moves) if (move.picture) delete asked[move.name];
      props.value = asked;
      if (ask) {
        explorer.tell("asked", question);
        trigger("input");
      }
    };

    /** What other parts may change: {dx, dy, query, scene, ...}; `ask` false where no answer is needed. */
    explorer.question = {
      get: () => question,
      /** (height, width) of the first model's input, whose pixels the move is in. */
      frame: () => frame,
      /** Whether an answer is to the question as it is now, wherever it is asked from. */
      isAnsweredBy: ({ at }) => moves.every((move) => (question.scene && move.picture) || at[move.name] === question[move.name])
        && (question.scene ? explorer.scenery.same(at.scene, question.scene) : !at.scene),
      set: (change, ask = true) => {
        Object.assign(question, change);
        show();
        publish(ask);
      },
    };

    explorer.state.keep("question", () => JSON.parse(JSON.stringify(question)), (change) => {
      explorer.question.set(change);
      return "";
    });

    const along = { dx: 1, dy: 0 };
    const numeric = (move) => {
      const toSlider = move.log ? Math.log2 : (value) => value;
      const fromSlider = move.log ? (value) => Number((2 ** value).toFixed(2)) : (value) => value;
      const id = `move-${move.name}`;
      const slider = make("input", { type: "range", id, step: move.log ? 0.01 : move.step, "aria-label": move.label });
      const number = make("input", {
        type: "number", step: "any", min: move.low, max: move.high, "aria-label": `${move.label}, ${move.unit || "factor"}`,
      });
      const limits = () => {
        const reach = move.share ? Math.round(move.share * frame[along[move.name]]) : null;
        slider.min = toSlider(reach === null ? move.low : -reach);
        slider.max = toSlider(reach === null ? move.high : reach);
        if (move.share) slider.step = question.scene ? move.step / 8 : move.step;
      };
      slider.addEventListener("input", () => {
        question[move.name] = fromSlider(Number(slider.value));
        number.value = question[move.name];
        publish();
      });
      number.addEventListener("input", () => {
        const value = Number(number.value);
        if (number.value === "" || !(value >= move.low && value <= move.high)) return;
        question[move.name] = value;
        slider.value = toSlider(value);
        publish();
      });
      number.addEventListener("change", () => show());
      fields[move.name] = { limits, show: () => {
        limits();
        slider.value = toSlider(question[move.name]);
        if (document.activeElement !== number || Number(number.value) !== question[move.name]) number.value = question[move.name];
      } };
      return make("div", { class: "field", title: move.text },
        make("label", { for: id, text: move.label }),
        slider, number, make("span", { class: "unit", text: move.unit === "degrees" ? "°" : move.unit || "×" }));
    };
    const other = (move) => {
      const id = `move-${move.name}`;
      if (move.choices && move.choices.length) {
        const select = make("select", { id, onchange: () => { question[move.name] = select.value; publish(); } },
          ...move.choices.map((choice) => make("option", { value: choice, text: choice })));
        fields[move.name] = { show: () => { select.value = question[move.name]; } };
        return make("div", { class: "field plain", title: move.text }, make("label", { for: id, text: move.label }), select);
      }
      const box = make("input", { type: "checkbox", id, onchange: () => { question[move.name] = box.checked; publish(); } });
      fields[move.name] = { show: () => { box.checked = question[move.name]; } };
      return make("div", { class: "field plain", title: move.text }, make("label", { for: id, text: move.label }), box);
    };
    const draw = (move) => {
      const drawn = move.low != null ? numeric(move) : other(move);
      const { show: put } = fields[move.name];
      fields[move.name].show = () => { put(); drawn.hidden = Boolean(question.scene && move.picture); };
      return drawn;
    };

    const reset = make("button", { type: "button", class: "quiet", text: "Reset", onclick: () => {
      for (const move of moves) question[move.name] = move.default;
      show();
      publish();
    } });
    const further = make("summary");
    const moved = make("fieldset", {},
      make("legend", { text: "Move" }), reset,
      ...moves.filter((move) => !move.advanced).map(draw),
      make("details", {}, further, ...moves.filter((move) => move.advanced).map(draw)));

    const scene = explorer.sceneFields(sceneFields, () => question.scene, (change) => {
      question.scene = { ...question.scene, ...change };
      show();
      publish();
    });
    const made = make("details", { class: "made" }, make("summary", { text: "Scene" }), ...scene.elements);

    const place = (axis, index) => {
      const id = `query-${axis}`;
      const input = make("input", { type: "number", id, min: 0, step: 1, "aria-label": `Query ${axis}, px` });
      input.addEventListener("input", () => {
        const value = Number(input.value) + 0.5;
        if (input.value === "" || value < 0 || value >= frame[index]) return;
        question.query = { ...question.query, [axis]: value / frame[index] };
        explorer.tell("query", question.query);
        publish();
      });
      fields[id] = { show: () => {
        input.max = frame[index] - 1;
        if (document.activeElement !== input) input.value = Math.floor(question.query[axis] * frame[index]);
      } };
      return [make("label", { for: id, text: axis }), input, make("span", { class: "unit", text: "px" })];
    };
    const asking = make("fieldset", {},
      make("legend", { text: "Ask from" }),
      make("div", { class: "field pair", title: "the place whose attention is shown, in pixels of the first model's input, before the move" },
        ...place("x", 1), ...place("y", 0)));

    const title = make("p", { class: "hint" });
    const parameters = make("details", {}, make("summary", { text: "Parameters" }));
    const compute = make("button", { type: "button", class: "main", text: "Compute" });
    const bar = make("progress", { max: 1, value: 0, "aria-label": "attribution under way" });
    const stop = make("button", { type: "button", class: "quiet", text: "Cancel" });
    const running = make("div", { class: "running", hidden: true }, bar, stop);
    const costly = make("div", { class: "costly" }, compute, running);
    explorer.methodName = (name) => NAMES[name] || name.replaceAll("_", " ");
    const select = make("select", { id: "method", "aria-label": "Attribution method" },
      ...methods.map(({ name, live }) => make("option", { value: name, text: explorer.methodName(name) + (live ? "" : " (on demand)") })));
    const described = () => methods.find(({ name }) => name === question.method);

    const showMethod = () => {
      const method = described();
      select.value = method.name;
      write(title, method.title);
      costly.hidden = method.live;
      parameters.hidden = method.parameters.length === 0;
      parameters.replaceChildren(parameters.firstChild, ...method.parameters.map((one) => {
        const id = `parameter-${one.name}`;
        const current = question.parameters[one.name] ?? one.default;
        let input;
        if (one.choices.length) {
          input = make("select", { id }, ...one.choices.map((choice) => make("option", { value: choice, text: choice, selected: choice === current })));
        } else {
          input = make("input", { id, type: "number", min: one.low, max: one.high, step: one.whole ? 1 : "any", value: current, placeholder: "own choice" });
        }
        input.addEventListener("change", () => {
          if (input.value === "" || !input.checkValidity()) {
            delete question.parameters[one.name];
            if (input.value !== "") input.value = current ?? "";
          } else question.parameters[one.name] = one.choices.length ? input.value : Number(input.value);
          publish();
        });
        return make("div", { class: "field plain", title: one.text },
          make("label", { for: id, text: one.name.replaceAll("_", " ") }), input, make("span", { class: "unit", text: one.unit }));
      }));
    };
    select.addEventListener("change", () => {
      question.method = select.value;
      question.parameters = {};
      showMethod();
      publish();
    });
    const run = (on) => {
      running.hidden = !on;
      compute.hidden = on;
      if (!on) bar.value = 0;
    };
    explorer.compute = () => { run(true); trigger("compute"); };
    compute.addEventListener("click", explorer.compute);
    stop.addEventListener("click", () => { run(false); trigger("cancel"); });
    explorer.hear("progress", ({ share }) => { bar.value = share; if (share >= 1) run(false); });

    function show() {
      for (const field of Object.values(fields)) field.show();
      write(further, question.scene ? "Turn" : "Turn, mirror, border");
      made.hidden = !question.scene;
      scene.show();
      explorer.showSource(question.scene);
    }
    explorer.hear("frame", (size) => {
      if (size[0] === frame[0] && size[1] === frame[1]) return;
      frame = size;
      show();
    });

    element.querySelector(".part").replaceChildren(made, moved, asking,
      make("fieldset", {}, make("legend", { text: "Attribution" }), select, title, parameters, costly));
    show();
    showMethod();
    publish(false);
  };

  /** How far a costly attribution is. */
  explorer.progress = ({ props, watch }) => {
    watch("value", () => { if (props.value && typeof props.value === "object") explorer.tell("progress", props.value); });
  };
})();
