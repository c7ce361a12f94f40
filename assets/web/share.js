// The head of the page: what to do here, and ways to take away what is on the screen.
"use strict";
(() => {
  const { explorer } = window;
  const { make, write, say } = explorer;

  const copied = async (text, button) => {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      write(button, say("Copied"));
    } catch {
      // Without leave to write to the clipboard the text stands there to be copied by hand.
      explorer.tell("notice", text);
    }
    setTimeout(() => write(button, before), 1600);
  };

  explorer.masthead = ({ element, trigger, props }) => {
    const { notice } = props.options;
    const said = make("p", { class: "notice", role: "status", hidden: true });
    const text = make("span");
    said.append(text, make("button", { type: "button", class: "quiet", text: say("Close"), onclick: () => { said.hidden = true; } }));
    const tell = (words) => { write(text, words); said.hidden = !words; };
    explorer.hear("notice", tell);
    const share = make("button", { type: "button", id: "share", text: say("Copy link"), title: say("The address of exactly this view"), onclick: () => copied(explorer.link.address(), share) });
    const code = make("button", { type: "button", id: "code", text: say("Show the code"), title: say("The Python and the command line for what is on the screen"), onclick: () => {
      let probe = null;
      if (explorer.tab() === "biases") explorer.tell("code", (wanted) => { probe = wanted; });
      explorer.question.set({}, false);
      trigger("code", { probe, number: explorer.openCode() });
    } });
    const evidence = make("button", { type: "button", id: "evidence", text: say("Evidence"), title: say("A zip of what is on the screen: figures, numbers, models with their hashes, and a script and a notebook that give the same numbers"), onclick: () => { explorer.question.set({}, false); evidence.disabled = true; write(evidence, say("Writing…")); trigger("evidence"); } });
    explorer.hear("written", () => { evidence.disabled = false; write(evidence, say("Evidence")); });
    const tongues = make("div");
    explorer.languages({ element: tongues });
    element.querySelector(".part").replaceChildren(make("header", {},
      make("h1", { text: "Attention Explorer" }),
      make("p", { text: `${say("Drag the object: every model answers anew.")} ${say("The maps show where each one looks and what its answer rests on.")} ${say("Click a place to ask from there.")}` }),
      make("div", { class: "actions" }, share, code, evidence, tongues), said));
    tell(notice ? say(notice) : "");
  };

  /** Shows code to copy: {python, command}. */
  explorer.code = ({ element, props, watch }) => {
    const blocks = ["python", "command"].map((name) => {
      const text = make("pre", { tabindex: 0 });
      const copy = make("button", { type: "button", text: say("Copy"), onclick: () => copied(text.textContent, copy) });
      return { name, text, element: make("section", {}, make("header", {}, make("h3", { text: name === "python" ? "Python" : say("Command line") }), copy), text) };
    });
    const dialog = make("dialog", { class: "part code", "aria-label": say("The code of what is on the screen") },
      ...blocks.map((one) => one.element), make("button", { type: "button", class: "main", text: say("Close"), onclick: () => dialog.close() }));
    element.querySelector(".part").append(dialog);
    let asked = 0;
    /** Wait for code; returns the number of the request, by which its reply is told from an earlier one's. */
    explorer.openCode = () => {
      for (const { text } of blocks) write(text, say("Writing…"));
      if (!dialog.open) dialog.showModal();
      return ++asked;
    };
    watch("value", () => {
      if (typeof props.value !== "string" || !props.value) return;
      const found = JSON.parse(props.value);
      if (found.number !== asked) return;
      for (const { name, text } of blocks) write(text, found[name]);
    });
  };

  /** An evidence bundle has been written: fetch it. */
  explorer.bundle = ({ props, watch }) => {
    let last = "";
    /** The link of a new file, once gradio has drawn it. */
    const fetched = (tries = 60) => {
      const link = document.querySelector("#bundle a[href]");
      if (link && link.href !== last) { last = link.href; link.click(); } else if (tries) setTimeout(fetched, 50, tries - 1);
    };
    watch("value", () => {
      explorer.tell("written");
      if (props.value && !props.value.startsWith("!")) fetched();
    });
  };
})();
