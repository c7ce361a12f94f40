// A strip of scenes and one of photographs.
"use strict";
(() => {
  const { explorer } = window;
  const { make } = explorer;

  explorer.samples = ({ element, trigger, props }) => {
    const { scenes, photographs } = props.options;
    const tile = (what, { alt, image }, chosen) =>
      make("button", { type: "button", class: "sample", title: alt, "aria-label": `${what}: ${alt}`, onclick: chosen },
        make("img", { src: image, alt: "", width: 56, height: 56 }));
    element.querySelector(".part").replaceChildren(
      make("h3", { text: "Scenes" }),
      make("div", { class: "strip" }, ...scenes.map((one) => tile("Scene", one, () => explorer.question.set({ scene: one.scene })))),
      make("h3", {}, make("span", { text: "Photographs" }),
        make("button", { type: "button", class: "quiet", text: "use your own", onclick: () => explorer.question.set({ scene: null }) })),
      make("div", { class: "strip" }, ...photographs.map((one) => tile("Photograph", one, () => {
        // The answer follows once the photograph is in its place.
        explorer.question.set({ scene: null }, false);
        trigger("pick", { name: one.name });
      }))));
  };
})();
