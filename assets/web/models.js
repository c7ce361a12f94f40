// Which models: 1 to 6 texts such as "random/resnet18+mhsa@3#1". The editors live in the heads of the answers' rows.
"use strict";
(() => {
  const { explorer } = window;
  const { make, say } = explorer;
  const SHOWN = 12;
  const TITLES = { block: "Block", setup: "Set-up", seed: "Seed" };

  /** "random/resnet18+mhsa@3#1" in its parts; the text stays the truth, the selects only edit it. */
  const split = (text) => {
    const match = /^(random\/|lab\/)?(.*?)(?:\+([A-Za-z0-9_]+)(?:@(\d*))?)?(#\d+)?$/.exec(text.trim());
    return { origin: match[1] || "", backbone: match[2], block: match[3] || "", stage: match[4] || "", seed: match[5] || "" };
  };
  const join = ({ origin, backbone, block, stage, seed }) =>
    origin + backbone + (block ? `+${block}${stage ? `@${stage}` : ""}` : "") + seed;

  /** "lab/resnet+mhsa#1" in its parts. */
  const splitLab = (text) => {
    const match = /^lab\/(resnet\+)?([A-Za-z0-9_]+?)(-aug)?(?:#(\d+))?$/.exec(text.trim());
    return match && { setup: match[1] ? "ResNet" : match[3] ? "augmented" : "MetaFormer", block: match[2], seed: match[4] || "0" };
  };

  explorer.models = ({ props, watch }) => {
    const { most, colours, names: listed, short, blocks, lab } = props.options;
    const names = listed.split("\n");
    const trained = lab.map((text) => ({ text, ...splitLab(text) }));
    let models = [...props.value];
    const editors = [];

    const publish = () => {
      props.value = [...models];
      explorer.tell("models", models);
      explorer.question.set({}); // one request asks for models and question
    };

    /** Names that hold every word typed; those that begin with it first, then the shorter ones. */
    const search = (text) => {
      const { origin, backbone } = split(text);
      const laboratory = origin === "lab/";
      const words = (laboratory ? text : backbone).toLowerCase().split(/[\s]+/).filter(Boolean);
      if (!words.length) return short;
      const own = short.filter((name) => words.every((word) => name.toLowerCase().includes(word)));
      const found = [];
      for (const name of names) if (words.every((word) => name.includes(word))) found.push(name);
      found.sort((a, b) => b.startsWith(words[0]) - a.startsWith(words[0]) || a.length - b.length || (a < b ? -1 : 1));
      return [...new Set([...own, ...found.slice(0, SHOWN).map((name) => (laboratory || name.startsWith("lab/") ? name : origin + name))])].slice(0, SHOWN);
    };

    const editor = (index) => {
      const id = `model-${index}`;
      const input = make("input", {
        type: "text", id, class: "name", role: "combobox", autocomplete: "off", spellcheck: "false", maxlength: 300,
        "aria-label": say("Model {number}", { number: index + 1 }), "aria-expanded": "false", "aria-controls": `${id}-list`, "aria-autocomplete": "list",
        placeholder: say("any timm name"),
      });
      const list = make("ul", { id: `${id}-list`, class: "list", role: "listbox", hidden: true });
      const weights = make("select", { "aria-label": say("Weights of model {number}", { number: index + 1 }) },
        make("option", { value: "", text: say("pretrained") }), make("option", { value: "random/", text: say("random") }));
      const block = make("select", { "aria-label": say("Block inserted into model {number}", { number: index + 1 }), title: say("attention block to insert") },
        make("option", { value: "", text: say("no block") }),
        ...blocks.map(([name, title]) => make("option", { value: name, text: `+ ${name}`, title: say(title) })));
      const stage = make("input", { type: "number", min: 1, max: 99, class: "stage", "aria-label": say("Stage after which the block of model {number} stands", { number: index + 1 }) });
      const after = make("label", { class: "after" }, make("span", { text: say("after stage") }), stage);
      const remove = make("button", { type: "button", class: "remove", title: say("Remove this model"), "aria-label": say("Remove model {number}", { number: index + 1 }), text: "×" });
      const choices = ["block", "setup", "seed"].map((name) => make("select", {
        "aria-label": say("{property} of model {number}", { property: TITLES[name], number: index + 1 }), title: say(TITLES[name]),
        onchange: (event) => relabel(name, event.target.value),
      }));
      const chooser = make("div", { class: "laboratory" }, ...choices);
      let active = -1;

      /** The trained model with one property changed, and as many others kept as there are models for. */
      const relabel = (name, value) => {
        const own = splitLab(models[index]);
        const rest = ["block", "setup", "seed"].filter((other) => other !== name);
        const likeness = (one) => rest.reduce((sum, other, rank) => sum + (one[other] === own[other]) * (4 >> rank), 0);
        const found = trained.filter((one) => one[name] === value).sort((a, b) => likeness(b) - likeness(a));
        if (found.length) commit(found[0].text);
      };
      const showLab = (own) => {
        ["block", "setup", "seed"].forEach((name, at) => {
          const values = [...new Set(trained.map((one) => one[name]))];
          const select = choices[at];
          if (select.dataset.values !== values.join()) {
            select.dataset.values = values.join();
            select.replaceChildren(...values.map((value) => make("option", { value, text: name === "seed" ? `#${value}` : value })));
          }
          select.value = own[name];
        });
      };

      const show = () => {
        const parts = split(models[index]);
        if (document.activeElement !== input) input.value = models[index];
        input.title = models[index];
        const own = trained.some(({ text }) => text === models[index]) && splitLab(models[index]);
        chooser.hidden = !own;
        if (own) showLab(own);
        const brought = / file:[0-9a-f]+$/.test(models[index]);
        weights.hidden = block.hidden = parts.origin === "lab/" || brought;
        weights.value = parts.origin;
        block.value = parts.block;
        stage.value = parts.stage;
        after.hidden = !parts.block || parts.origin === "lab/" || brought;
        remove.hidden = models.length < 2;
      };
      const commit = (text) => {
        close();
        text = text.trim();
        input.value = text || models[index];
        if (!text || text === models[index]) return;
        models[index] = text;
        show();
        publish();
      };
      const close = () => {
        list.hidden = true;
        active = -1;
        input.setAttribute("aria-expanded", "false");
        input.removeAttribute("aria-activedescendant");
      };
      const open = (text) => {
        const found = search(text);
        list.replaceChildren(...found.map((name, number) => make("li", {
          id: `${id}-option-${number}`, role: "option", "aria-selected": "false", text: name,
          // pointerdown would blur the field first, and a blur commits what was typed
          onpointerdown: (event) => event.preventDefault(),
          onclick: () => { commit(name); input.blur(); },
        })));
        list.hidden = !found.length;
        input.setAttribute("aria-expanded", String(!list.hidden));
        active = -1;
      };
      const point = (step) => {
        const options = list.children;
        if (list.hidden || !options.length) { open(input.value); return; }
        if (active >= 0) options[active].setAttribute("aria-selected", "false");
        active = (active + step + options.length + (active < 0 && step < 0 ? 1 : 0)) % options.length;
        options[active].setAttribute("aria-selected", "true");
        options[active].scrollIntoView({ block: "nearest" });
        input.setAttribute("aria-activedescendant", options[active].id);
      };
      input.addEventListener("focus", () => { input.select(); open(""); });
      input.addEventListener("input", () => open(input.value));
      input.addEventListener("blur", () => commit(input.value));
      input.addEventListener("keydown", (event) => {
        if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); point(event.key === "ArrowDown" ? 1 : -1); }
        else if (event.key === "Enter") { event.preventDefault(); commit(active >= 0 ? list.children[active].textContent : input.value); }
        else if (event.key === "Escape") { input.value = models[index]; close(); }
      });
      const edit = (change) => commit(join({ ...split(models[index]), ...change }));
      weights.addEventListener("change", () => edit({ origin: weights.value }));
      block.addEventListener("change", () => edit({ block: block.value, stage: block.value ? split(models[index]).stage || "3" : "" }));
      stage.addEventListener("change", () => { if (stage.value) edit({ stage: String(Math.max(1, Math.floor(stage.value))) }); });
      remove.addEventListener("click", () => { models.splice(index, 1); draw(); publish(); });

      return { show, input, element: make("div", { class: "editor" },
        make("span", { class: "dot", "aria-hidden": "true" }),
        make("div", { class: "combo" }, input, list), weights, block, after, chooser), remove };
    };

    const add = make("button", { type: "button", class: "add", text: say("+ Add a model") });
    add.addEventListener("click", () => {
      if (models.length >= most) return;
      models.push(short.find((name) => !models.includes(name)) || short[0]);
      draw();
      publish();
      editors[models.length - 1].input.focus();
    });

    const draw = () => {
      while (editors.length < models.length) editors.push(editor(editors.length));
      editors.slice(0, models.length).forEach((one) => one.show());
      add.hidden = models.length >= most;
      explorer.tell("models", models);
    };

    // The server adds the model of a file that was brought.
    watch("value", () => {
      if (JSON.stringify(props.value) === JSON.stringify(models)) return;
      models = [...props.value];
      draw();
    });
    /** Choose models: 1 to 6 texts. */
    const set = (texts) => {
      if (JSON.stringify(texts) === JSON.stringify(models)) return;
      models = texts.slice(0, most);
      draw();
      publish();
    };
    explorer.state.keep("models", () => [...models], (texts) => {
      if (!Array.isArray(texts) || !texts.length || texts.length > most) return explorer.say("1 to {most} models can be shown.", { most });
      set(texts.map((text) => String(text).trim()));
      return "";
    });
    explorer.chosen = { models: () => models, set, editor: (index) => editors[index], colour: (index) => colours[index], add };
    draw();
  };
})();
