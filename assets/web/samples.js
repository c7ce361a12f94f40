// A strip of sample photographs.
"use strict";
(() => {
  const { explorer } = window;

  explorer.samples = ({ element, trigger, props }) => {
    const strip = element.querySelector(".part");
    strip.replaceChildren(
      ...props.options.map(({ name, alt, image }) =>
        explorer.make(
          "button",
          { type: "button", class: "sample", title: alt, "aria-label": `Sample photograph: ${alt}`, onclick: () => trigger("pick", { name }) },
          explorer.make("img", { src: image, alt: "", width: 56, height: 56 }),
        ),
      ),
    );
  };
})();
