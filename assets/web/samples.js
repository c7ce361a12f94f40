// A strip of scenes and one of photographs; the one that is shown is marked.
"use strict";
(() => {
  const { explorer } = window;
  const { make, say } = explorer;

  explorer.samples = ({ element, props }) => {
    const { scenes, photographs } = props.options;
    explorer.pictures = photographs.map(({ name }) => name);
    const marks = [];
    const tile = (what, { alt, image }, chosen, shown) => {
      const name = say(alt);
      const button = make("button", { type: "button", class: "sample", title: name, "aria-label": `${what}: ${name}`, onclick: chosen },
        make("img", { src: image, alt: "", width: 56, height: 56 }));
      marks.push((question) => button.setAttribute("aria-pressed", String(shown(question))));
      return button;
    };
    element.querySelector(".part").replaceChildren(
      make("h3", { text: say("Scenes") }),
      make("div", { class: "strip" }, ...scenes.map((one) => tile(say("Scene"), one, () => explorer.question.set({ scene: one.scene }),
        ({ scene }) => explorer.scenery.same(scene, one.scene)))),
      make("h3", { text: say("Photographs") }),
      make("div", { class: "strip" }, ...photographs.map((one) => tile(say("Photograph"), one, () => explorer.question.set({ scene: null, picture: one.name }),
        ({ scene, picture }) => !scene && picture === one.name))));
    const show = (question) => { for (const mark of marks) mark(question); };
    explorer.hear("source", show);
    if (explorer.question) show(explorer.question.get());
  };
})();
