// The page's whole state as one object: taken from its parts, given back to them, and kept in the address.
"use strict";
(() => {
  const { explorer } = window;
  const root = document.documentElement;
  root.dataset.tab = "compare";

  //: Who keeps which part of the state: name -> {get(), set(value) -> a sentence where it could not be restored}.
  const keepers = new Map();

  /** Let a part of the page keep a part of the state. */
  const keep = (name, get, set) => { keepers.set(name, { get, set }); };

  /** {models, question, look, layers, tab, ...} as it is now. */
  const get = () => Object.fromEntries([...keepers].map(([name, { get: own }]) => [name, own()]));

  /** Put a state, or a part of one, on the page; returns a sentence for each thing that could not be restored. */
  const apply = (state) => {
    const problems = [];
    for (const [name, value] of Object.entries(state)) {
      const keeper = keepers.get(name);
      const problem = keeper ? keeper.set(value) : explorer.say("This page knows nothing called “{name}”.", { name });
      if (problem) problems.push(problem);
    }
    return problems;
  };

  explorer.state = { keep, get, apply };

  // Which tab is open stands at the root, so that styles can show what belongs to it.
  const tabs = () => [...document.querySelectorAll("#tabs > .tab-wrapper button[role=tab]")];
  const names = ["compare", "lecture", "biases", "blocks", "lab"];
  explorer.tabNames = names;
  explorer.tab = () => root.dataset.tab;
  /** Open a tab by its name. */
  explorer.tabButton = (name) => tabs()[names.indexOf(name)];
  explorer.openTab = (name) => { const button = explorer.tabButton(name); if (button) button.click(); };
  new MutationObserver(() => {
    const at = tabs().findIndex((button) => button.getAttribute("aria-selected") === "true");
    if (at < 0 || root.dataset.tab === names[at]) return;
    root.dataset.tab = names[at];
    explorer.tell("tab", names[at]);
  }).observe(root, { subtree: true, attributes: true, attributeFilter: ["aria-selected"], childList: true });
})();
