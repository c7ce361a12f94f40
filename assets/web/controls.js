// The question: how what is shown is moved, where attention is asked from, which attribution. Its value is one object.
"use strict";
(() => {
  const { explorer } = window;
  const { make, write, say } = explorer;
  const MOST_PINS = 4;
  // Names of methods as the field writes them, where that is not the name with spaces.
  const NAMES = {
    gradcam: "Grad-CAM", smoothgrad: "SmoothGrad", deeplift: "DeepLIFT", guided_gradcam: "guided Grad-CAM", input_x_gradient: "input × gradient",
  };

  explorer.controls = ({ element, trigger, props }) => {
    const { moves, methods, method: firstMethod, scene: sceneFields, blank } = props.options;
    const question = {
      method: firstMethod, pins: [{ x: 0.5, y: 0.5 }], pin: "image", parameters: {}, scene: props.value.scene || null, picture: props.value.picture,
    };
    for (const move of moves) question[move.name] = move.default;
    let frame = [224, 224];
    const fields = {};
    let shownSource = "";

    const copy = () => {
      const asked = JSON.parse(JSON.stringify(question));
      // What is rendered anew is neither mirrored nor filled in.
      if (question.scene) for (const move of moves) if (move.picture) delete asked[move.name];
      return asked;
    };
    let due = false;
    const publish = (ask = true) => {
      props.value = { ...copy(), ...(explorer.looked ? explorer.looked() : {}) };
      if (!ask) return;
      explorer.tell("asked", question);
      if (due) return;
      due = true;
      // What changes together, as the models and the scene of a lesson's step, is one request.
      queueMicrotask(() => { due = false; trigger("input"); });
    };
    const sorted = (fields) => JSON.stringify(fields, Object.keys(fields).sort());

    /** What other parts may change: {dx, dy, pins, scene, ...}; `ask` false where no answer is needed. */
    explorer.question = {
      get: () => question,
      /** (height, width) of the first model's input, whose pixels the move is in. */
      frame: () => frame,
      /** Whether what was asked, as a reply carries it, is the question as it is now, wherever it is asked from; or is but for the move. */
      isAnsweredBy: ({ at, models, method, parameters }, moved = true) => moves.every((move) => !moved || (question.scene && move.picture) || at[move.name] === question[move.name])
        && explorer.scenery.same(at.scene, question.scene) && (Boolean(question.scene) || at.picture === question.picture)
        && method === question.method && sorted(parameters) === sorted(question.parameters)
        && models[0] === explorer.chosen.models()[0], // in whose pixels the move is
      set: (change, ask = true) => {
        Object.assign(question, change);
        if (explorer.now.pin >= question.pins.length) explorer.now.pin = 0;
        show();
        publish(ask);
      },
      /** Put everything back to where it was. */
      reset: () => explorer.question.set(Object.fromEntries(moves.map((move) => [move.name, move.default]))),
      /** Let the pin whose maps are shown ask from another place. */
      ask: (place) => explorer.question.set({ pins: question.pins.map((pin, number) => (number === explorer.now.pin ? place : pin)) }, false),
    };

    /** The first thing wrong with a part of a question that came from elsewhere, or "". */
    const problem = (change) => {
      for (const [name, value] of Object.entries(change)) {
        const move = moves.find((one) => one.name === name);
        const said = (expected) => say("{name} is {expected}, not “{value}”.", { name, expected, value: typeof value === "string" ? value : JSON.stringify(value) });
        if (move && move.low != null && !(typeof value === "number" && value >= move.low && value <= move.high)) {
          return said(say("a number from {low} to {high}", { low: move.low, high: move.high }));
        }
        if (move && move.choices && move.choices.length && !move.choices.includes(value)) return said(move.choices.join(", "));
        if (name === "method" && !methods.some((one) => one.name === value)) return said(say("the name of an attribution method"));
        if (name === "pin" && !["image", "place"].includes(value)) return said("image, place");
        if (name === "pins" && !(Array.isArray(value) && value.length >= 1 && value.length <= MOST_PINS
          && value.every((one) => one && [one.x, one.y].every((part) => typeof part === "number" && part >= 0 && part < 1)))) return said(say("1 to {most} places in the frame", { most: MOST_PINS }));
        if (name === "picture" && !(explorer.pictures.includes(value) || /^own:[0-9a-f]{24}$/.test(value))) return said(explorer.pictures.join(", "));
        if (name === "scene" && value) {
          for (const [field, part] of Object.entries(value)) {
            const one = sceneFields.find((known) => known.name === field);
            if (!one && !["dx", "dy", "scale", "angle"].includes(field)) return say("A scene has no field “{field}”.", { field });
            if (one && one.choices.length && !one.choices.includes(part)) return say("A scene has no {field} “{part}”.", { field, part });
            if ((!one || !one.choices.length) && !(typeof part === "number" && (!one || (part >= one.low && part <= one.high)))) return say("A scene has no {field} “{part}”.", { field, part });
          }
        }
        if (!move && !["method", "pin", "pins", "picture", "scene", "parameters"].includes(name)) return say("Nothing that is asked is called “{name}”.", { name });
      }
      return "";
    };
    explorer.state.keep("question", copy, (change) => {
      // What is wrong is left out, the rest is asked.
      const good = {};
      const problems = [];
      for (const [name, value] of Object.entries(change)) {
        const wrong = problem({ [name]: value });
        if (wrong) problems.push(wrong);
        else good[name] = name === "scene" && value ? { ...blank, ...value } : value;
      }
      if (Object.keys(good).length) explorer.question.set(good);
      return problems.join(" ");
    });

    const along = { dx: 1, dy: 0 };
    const numeric = (move) => {
      const toSlider = move.log ? Math.log2 : (value) => value;
      const fromSlider = move.log ? (value) => Number((2 ** value).toFixed(2)) : (value) => value;
      const id = `move-${move.name}`;
      const label = say(move.label);
      const slider = make("input", { type: "range", id, step: move.log ? 0.01 : move.step, "aria-label": label });
      const number = make("input", {
        type: "number", step: "any", min: move.low, max: move.high, "aria-label": `${label}, ${say(move.unit || "factor")}`,
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
      return make("div", { class: "field", title: say(move.text) },
        make("label", { for: id, text: label }),
        slider, number, make("span", { class: "unit", text: move.unit === "degrees" ? "°" : move.unit || "×" }));
    };
    const other = (move) => {
      const id = `move-${move.name}`;
      if (move.choices && move.choices.length) {
        const select = make("select", { id, onchange: () => { question[move.name] = select.value; publish(); } },
          ...move.choices.map((choice) => make("option", { value: choice, text: say(choice) })));
        fields[move.name] = { show: () => { select.value = question[move.name]; } };
        return make("div", { class: "field plain", title: say(move.text) }, make("label", { for: id, text: say(move.label) }), select);
      }
      const box = make("input", { type: "checkbox", id, onchange: () => { question[move.name] = box.checked; publish(); } });
      fields[move.name] = { show: () => { box.checked = question[move.name]; } };
      return make("div", { class: "field plain", title: say(move.text) }, make("label", { for: id, text: say(move.label) }), box);
    };
    const draw = (move) => {
      const drawn = move.low != null ? numeric(move) : other(move);
      const { show: put } = fields[move.name];
      fields[move.name].show = () => { put(); drawn.hidden = Boolean(question.scene && move.picture); };
      return drawn;
    };

    const fold = (title, ...content) => make("details", {}, make("summary", {}, typeof title === "string" ? say(title) : title), ...content);
    const reset = make("button", { type: "button", class: "quiet", text: say("Put it back"), onclick: explorer.question.reset });
    const moved = fold("Move by numbers", ...moves.map(draw));
    const where = make("p", { class: "moved-by" });

    const scene = explorer.sceneFields(sceneFields, () => question.scene, (change) => {
      question.scene = { ...question.scene, ...change };
      show();
      publish();
    });
    const made = fold("Make another scene", ...scene.elements);

    const place = (axis, index) => {
      const id = `query-${axis}`;
      const input = make("input", { type: "number", id, min: 0, step: 1, "aria-label": say("Pin, {axis}, px", { axis }) });
      input.addEventListener("input", () => {
        const value = Number(input.value) + 0.5;
        if (input.value === "" || value < 0 || value >= frame[index]) return;
        const own = question.pins[explorer.now.pin];
        explorer.tell("ask", { ...own, [axis]: value / frame[index] });
      });
      fields[id] = { show: () => {
        input.max = frame[index] - 1;
        if (document.activeElement !== input) input.value = Math.floor(question.pins[explorer.now.pin][axis] * frame[index]);
      } };
      return [make("label", { for: id, text: axis }), input, make("span", { class: "unit", text: "px" })];
    };
    const chips = make("span", { class: "chips", role: "group", "aria-label": say("Pins") });
    const choose = (number) => {
      explorer.now.pin = number;
      show();
      explorer.tell("pins");
    };
    let shownPins = "";
    fields.pins = { show: () => {
      const wanted = `${question.pins.length} ${explorer.now.pin}`;
      if (wanted === shownPins) return;
      shownPins = wanted;
      chips.replaceChildren(...question.pins.map((_, number) => {
        const chip = make("button", { type: "button", class: "chip", text: number + 1, "aria-pressed": String(number === explorer.now.pin), "aria-label": say("Pin {number}", { number: number + 1 }), onclick: () => choose(number) });
        chip.style.setProperty("--pin", explorer.pinColour(number));
        return chip;
      }),
      question.pins.length < MOST_PINS ? make("button", { type: "button", class: "quiet more", text: "+", "aria-label": say("Add a pin"), title: say("Add a pin; shift and a click adds one there"), onclick: () => explorer.addPin() }) : "",
      question.pins.length > 1 ? make("button", { type: "button", class: "quiet more", text: "−", "aria-label": say("Take pin {number} out", { number: explorer.now.pin + 1 }), onclick: () => {
        const pins = question.pins.filter((_, number) => number !== explorer.now.pin);
        explorer.now.pin = 0;
        explorer.question.set({ pins });
        explorer.tell("pins");
      } }) : "");
    } };
    /** Put another pin somewhere and show its maps. */
    explorer.addPin = (at = null) => {
      if (question.pins.length >= MOST_PINS) return;
      const last = question.pins[question.pins.length - 1];
      const pins = [...question.pins, at || { x: explorer.clampShare((last.x + 0.17) % 1), y: explorer.clampShare((last.y + 0.11) % 1) }];
      explorer.now.pin = pins.length - 1;
      explorer.question.set({ pins });
      explorer.tell("pins");
    };
    const stays = { image: say("what it is on"), place: say("its place") };
    const staying = Object.entries(stays).map(([value, text]) => make("button", {
      type: "button", text, "data-value": value, title: value === "image" ? say("The pin moves with the object or the picture.") : say("The pin stays where it is in the frame."),
      onclick: () => { explorer.question.set({ pin: value }); explorer.tell("pins"); },
    }));
    fields.pin = { show: () => { for (const one of staying) one.setAttribute("aria-pressed", String(one.dataset.value === question.pin)); } };
    const asking = make("fieldset", { class: "asking" },
      make("legend", { text: say("Ask from") }), chips,
      make("div", { class: "choice", role: "group", "aria-label": say("The pin stays on") }, make("span", { text: say("stays on") }), ...staying),
      fold("By numbers", make("div", { class: "field pair", title: say("the place whose attention is shown, in pixels of the first model's input, before the move") },
        ...place("x", 1), ...place("y", 0))));

    const title = make("p", { class: "hint" });
    const parameters = make("details", {}, make("summary", { text: say("Parameters") }));
    const compute = make("button", { type: "button", class: "main", text: say("Compute") });
    const bar = make("progress", { max: 1, value: 0, "aria-label": say("attribution under way") });
    const stop = make("button", { type: "button", class: "quiet", text: say("Cancel") });
    const running = make("div", { class: "running", hidden: true }, bar, stop);
    const costly = make("div", { class: "costly" }, compute, running);
    explorer.methodName = (name) => NAMES[name] || name.replaceAll("_", " ");
    const select = make("select", { id: "method", "aria-label": say("Attribution method") },
      ...methods.map(({ name, live }) => make("option", { value: name, text: live ? explorer.methodName(name) : say("{method} (on demand)", { method: explorer.methodName(name) }) })));
    const described = () => methods.find(({ name }) => name === question.method);

    const showMethod = () => {
      const method = described();
      select.value = method.name;
      write(title, say(method.title));
      costly.hidden = method.live;
      parameters.hidden = method.parameters.length === 0;
      parameters.replaceChildren(parameters.firstChild, ...method.parameters.map((one) => {
        const id = `parameter-${one.name}`;
        const current = question.parameters[one.name] ?? one.default;
        let input;
        if (one.choices.length) {
          input = make("select", { id }, ...one.choices.map((choice) => make("option", { value: choice, text: say(choice), selected: choice === current })));
        } else {
          input = make("input", { id, type: "number", min: one.low, max: one.high, step: one.whole ? 1 : "any", value: current, placeholder: say("own choice") });
        }
        input.addEventListener("change", () => {
          if (input.value === "" || !input.checkValidity()) {
            delete question.parameters[one.name];
            if (input.value !== "") input.value = current ?? "";
          } else question.parameters[one.name] = one.choices.length ? input.value : Number(input.value);
          publish();
        });
        return make("div", { class: "field plain", title: say(one.text) },
          make("label", { for: id, text: say(one.name.replaceAll("_", " ")) }), input, make("span", { class: "unit", text: say(one.unit) }));
      }));
    };
    let shownMethod = "";
    fields.method = { show: () => {
      const wanted = JSON.stringify([question.method, question.parameters]);
      if (wanted === shownMethod || parameters.contains(document.activeElement)) return;
      shownMethod = wanted;
      showMethod();
    } };
    select.addEventListener("change", () => explorer.question.set({ method: select.value, parameters: {} }));
    let computing = null; // what the attribution that is under way was asked for
    const run = (on) => {
      running.hidden = !on;
      compute.hidden = on;
      bar.value = 0;
      computing = null;
    };
    explorer.compute = () => { run(true); trigger("compute"); };
    compute.addEventListener("click", explorer.compute);
    stop.addEventListener("click", () => { run(false); trigger("cancel"); });
    const isOf = (of) => explorer.question.isAnsweredBy(of) && JSON.stringify(of.models) === JSON.stringify(explorer.chosen.models());
    explorer.hear("progress", ({ share, of }) => {
      if (running.hidden || (of && !isOf(of))) return;
      computing = of || null;
      bar.value = share;
      if (share >= 1) run(false);
    });
    // What is computed for another question is not worth its time.
    explorer.hear("asked", () => {
      if (running.hidden || !computing || isOf(computing)) return;
      run(false);
      trigger("cancel");
    });

    function show() {
      for (const field of Object.values(fields)) field.show();
      made.hidden = !question.scene;
      scene.show();
      const parts = [];
      const rounded = (value) => Number(value.toFixed(1));
      if (question.dx || question.dy) parts.push(say("→ {dx} px, ↓ {dy} px", { dx: rounded(question.dx), dy: rounded(question.dy) }));
      if (question.zoom !== 1) parts.push(`× ${question.zoom}`);
      if (question.angle) parts.push(`${question.angle}°`);
      if (question.flip && !question.scene) parts.push(say("mirrored"));
      write(where, parts.join(" · ") || say("not moved"));
      reset.disabled = !parts.length;
      const source = question.scene ? JSON.stringify(question.scene) : question.picture;
      if (source !== shownSource) {
        shownSource = source;
        explorer.tell("source", question);
      }
    }
    explorer.hear("frame", (size) => {
      if (size[0] === frame[0] && size[1] === frame[1]) return;
      frame = size;
      show();
    });
    explorer.hear("ask", () => show());

    element.querySelector(".part").replaceChildren(
      make("div", { class: "put" }, where, reset), moved, made, asking,
      make("fieldset", {}, make("legend", { text: say("Attribution") }), select, title, parameters, costly));
    show();
    publish(false);
  };

  /** How far a costly attribution is. */
  explorer.progress = ({ props, watch }) => {
    watch("value", () => { if (props.value && typeof props.value === "object") explorer.tell("progress", props.value); });
  };

  /** A visitor's own picture that has reached the server is what is shown. */
  explorer.own = ({ props, watch }) => {
    watch("value", () => {
      if (typeof props.value !== "string" || !props.value) return;
      explorer.shows({ scene: null, picture: props.value });
      // The same picture chosen once more is an event too.
      props.value = "";
    });
  };
})();
