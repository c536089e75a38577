// Elements, made without a parser of HTML: nothing that is typed or linked can become markup.

export const $ = (id) => document.getElementById(id);

/** An element with these properties and children. */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}
