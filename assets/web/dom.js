// Making elements. Text is always text: nothing that came from elsewhere is ever read as markup.

/** Make an element: {text, class, on…: listener, …} and its children. */
export const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
};

/** Set an element's text without touching the page where it is the same. */
export const write = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};
