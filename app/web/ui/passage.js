// A document's text in a dialog, with a passage marked at its place.

import { getJSON, pathTo, withQuery } from "./api.js";
import { failure, openDialog, skeleton } from "./dialogs.js";
import { button, h } from "./dom.js";
import { count } from "./format.js";
import { labelBadge } from "./labels.js";

const WINDOW = 12_000; // characters

/** Open the passage that a citation names; where the document has changed since, its words as they were quoted. */
export function openPassage({ document_id: id, collection = "default", passage = "", title, content }) {
  openReader({ id, collection, passage, title, quoted: content });
}

/** Open a document from its start. */
export function openDocument({ id, collection, title }) {
  openReader({ id, collection, title });
}

function openReader({ id, collection, passage = "", title, quoted = null }) {
  const body = h("div", { class: "reader" }, skeleton(6));
  openDialog({ title: title || id, body, wide: true });
  const read = (place) => {
    const path = withQuery(`documents/${pathTo(id)}/text`, { collection, limit: WINDOW, ...place });
    return getJSON(path).then((piece) => draw(body, piece, (start) => read({ start })));
  };
  const open = () =>
    read({ passage }).catch((error) => {
      const gone = quoted !== null && error.status === 404;
      body.replaceChildren(gone ? oldWords(quoted) : failure(error, open));
    });
  open();
}

function draw(body, { text, start, length, passage, sensitivity }, go) {
  // The service counts code points, JavaScript counts code units.
  const points = Array.from(text);
  const end = start + points.length;
  const from = passage ? Math.max(0, passage.start - start) : 0;
  const to = passage ? from + passage.length : 0;
  const mark = passage && h("mark", { tabindex: -1 }, points.slice(from, to).join(""));
  const words = h("div", { class: "reader-text", tabindex: 0, role: "region", "aria-label": "Text of the document" },
    points.slice(0, from).join(""), mark, points.slice(to).join(""));
  const place = `Characters ${count(length ? start + 1 : 0)} to ${count(end)} of ${count(length)}`;
  body.replaceChildren(
    h("div", { class: "reader-bar" }, labelBadge(sensitivity), h("span", { class: "muted" }, place), h("span", { class: "space" }),
      button({ text: "Earlier", iconName: "left", disabled: start === 0 }, () => go(Math.max(0, start - WINDOW))),
      button({ text: "Later", iconName: "right", disabled: end >= length }, () => go(end))),
    words,
  );
  mark?.scrollIntoView({ block: "center" });
  if (!mark) words.focus();
}

function oldWords(quoted) {
  return [
    h("p", { class: "muted" }, "The document has been replaced or deleted since, or your key may not read it. This is what was quoted:"),
    h("div", { class: "reader-text", tabindex: 0 }, h("mark", {}, quoted)),
  ].reduce((parts, part) => (parts.append(part), parts), document.createDocumentFragment());
}
