// Building elements. Text becomes text nodes: nothing on this page is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: `h("button", { class: "quiet", on: { click } }, "Copy")`.
 * Properties are attributes; `true` sets an empty one; `false`, null and undefined set none.
 */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

function fill(element, { on = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** One of the icons below, for the eye alone. */
export function icon(name, size = 18) {
  const svg = document.createElementNS(SVG, "svg");
  fill(svg, { viewBox: "0 0 24 24", width: size, height: size, class: "icon", "aria-hidden": "true" }, []);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button; without visible text its `label` is what screen readers and tooltips say. */
export function button({ text = "", label = "", iconName = "", kind = "quiet", ...rest }, onClick) {
  const attributes = { type: "button", class: `button ${kind}`, "aria-label": label || null, title: label || null };
  return h("button", { ...attributes, ...rest, on: { click: onClick } }, iconName && icon(iconName), text);
}

/** A list to choose from; `options` are pairs of value and text. */
export function select({ options, value = "", ...rest }, onChange = () => {}) {
  const element = h(
    "select",
    { ...rest, on: { change: () => onChange(element.value) } },
    options.map(([each, text]) => h("option", { value: each, selected: each === value }, text)),
  );
  return element;
}

/** A labelled field of a form. */
export function field(text, control, hint = "") {
  fields += 1;
  control.id ||= `field-${fields}`;
  if (hint) control.setAttribute("aria-describedby", `${control.id}-hint`);
  return h(
    "div",
    { class: "field" },
    h("label", { for: control.id }, text),
    control,
    hint && h("small", { id: `${control.id}-hint` }, hint),
  );
}

let fields = 0;

/** Say something to screen readers. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

const ICONS = {
  chat: "M4 5h16v11H9l-5 4z",
  documents: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
  routing: "M6 4.500a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM18 4.500a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM18 15.500a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM8 6.500h8M6 8.500c0 6 4 9 10 9",
  dashboard: "M4 20V10M10 20V4M16 20v-7M21 20H3",
  access: "M8 11.500a4.250 4.250 0 1 0 0 8.500 4.250 4.250 0 0 0 0-8.500zM11 12.700 20 3.700M16 7.700l3.200 3.200",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M5 12.500l4.500 4.500L19 7.500",
  edit: "M4 20h4L19 9l-4-4L4 16zM13.500 6.500l4 4",
  again: "M20 11a8 8 0 1 0-2.300 6.300M20 4v7h-7",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  plus: "M12 5v14M5 12h14",
  search: "M10.500 4a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zM20 20l-4.800-4.800",
  close: "M6 6l12 12M18 6L6 18",
  down: "M6 9l6 6 6-6",
  upload: "M12 16V4M6 10l6-6 6 6M4 20h16",
  download: "M12 4v12M6 10l6 6 6-6M4 20h16",
  shield: "M12 3l8 3v6c0 5-3.500 8-8 9-4.500-1-8-4-8-9V6z",
  cloud: "M7 18h10a4 4 0 0 0 .6-7.950A6 6 0 0 0 6 9.500 4.300 4.300 0 0 0 7 18z",
  home: "M4 11l8-7 8 7v9h-5v-6H9v6H4z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500L19 19M19 5l-1.500 1.500M6.500 17.500L5 19",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  auto: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 3v18",
  menu: "M4 7h16M4 12h16M4 17h16",
  book: "M12 6.500c-2-1.500-5-2-8-2v13c3 0 6 .5 8 2 2-1.500 5-2 8-2v-13c-3 0-6 .5-8 2zM12 6.500v13",
  left: "M15 6l-6 6 6 6",
  right: "M9 6l6 6-6 6",
};
