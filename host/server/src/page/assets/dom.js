// Elements made without HTML text: nothing that comes from a server is ever
// parsed as markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element. `properties`: attributes by name; `onclick` and the like
 * take functions; `value`, `checked`, `disabled` and `hidden` are set as
 * properties; `null`, `undefined` and `false` are left out.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) set(element, name, value);
  element.append(...flat(children));
  return element;
}

/** Makes an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...flat(children));
  return element;
}

/** Puts `children` where the children of `parent` were. */
export function fill(parent, ...children) {
  parent.replaceChildren(...flat(children));
  return parent;
}

const DIRECT = new Set(["value", "checked", "disabled", "hidden"]);

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (DIRECT.has(name)) element[name] = value;
  else element.setAttribute(name, value === true ? "" : String(value));
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

let ids = 0;

/** An id that no other element has. */
export function freshId(stem) {
  ids += 1;
  return `${stem}-${ids}`;
}

/**
 * A row of radio buttons that looks like one switch. `options`: pairs of value
 * and words. The result has `.choose(value)`, which does not call `onchange`.
 */
export function segments(legend, options, chosen, onchange) {
  const name = freshId("segments");
  const inputs = new Map();
  const labels = options.map(([value, words]) => {
    const input = h("input", { type: "radio", name, value, checked: value === chosen, onchange: () => onchange(value) });
    inputs.set(value, input);
    return h("label", {}, input, h("span", {}, words));
  });
  const group = h("fieldset", { class: "segments" }, h("legend", { class: "unseen" }, legend), labels);
  group.choose = (value) => {
    const input = inputs.get(value);
    if (input) input.checked = true;
  };
  return group;
}

/** A labelled `<select>`; `options` as in `segments`. */
export function select(words, options, chosen, onchange) {
  const id = freshId("select");
  const box = h(
    "select",
    { id, onchange: (event) => onchange(event.target.value) },
    options.map(([value, text]) => h("option", { value }, text)),
  );
  box.value = chosen;
  return h("span", { class: "labelled" }, h("label", { for: id }, words), box);
}

/** Copies text, and says so on the button that was pressed. */
export async function copy(text, button) {
  const before = button.textContent;
  let words = "Copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    words = copyBySelection(text) ? "Copied" : "Select and copy by hand";
  }
  button.textContent = words;
  setTimeout(() => (button.textContent = before), 1200);
}

/** For pages that came over plain HTTP, which have no clipboard object. */
function copyBySelection(text) {
  const area = h("textarea", { class: "unseen", readonly: true, value: text });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

/** Offers `parts` as a file. */
export function download(name, parts, type) {
  const address = URL.createObjectURL(new Blob(parts, { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
