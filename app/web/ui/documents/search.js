// Search: passages with the words of the query marked, and how both rankings see them.

import { postJSON } from "../api.js";
import { emptiness, failure, skeleton } from "../dialogs.js";
import { announce, button, h, icon, select } from "../dom.js";
import { plural } from "../format.js";
import { labelBadge } from "../labels.js";
import { openPassage } from "../passage.js";

const SHORTEST_WORD = 3;

export class SearchPanel {
  #left = null;

  constructor({ collection }) {
    this.collection = collection;
    this.query = h("input", { type: "search", placeholder: "Find passages by meaning and by words", maxlength: 8000, "aria-label": "Search the documents" });
    this.limit = select({ options: [["5", "5 passages"], ["10", "10 passages"], ["20", "20 passages"]], "aria-label": "How many" });
    this.element = h("form", { class: "search-form", role: "search", on: { submit: (event) => { event.preventDefault(); this.#search(); } } },
      h("div", { class: "search-line" }, icon("search", 20), this.query),
      h("div", { class: "search-line" }, this.limit, h("span", { class: "space" }),
        h("button", { type: "submit", class: "button primary" }, "Search")),
      h("p", { class: "muted" }, "Two rankings, by meaning and by words, are joined; each result says how it fared in both."));
    this.query.addEventListener("search", () => !this.query.value && this.#clear());
    this.results = h("section", { class: "results", "aria-label": "Search results", hidden: true });
  }

  #clear() {
    this.#left?.abort();
    this.results.hidden = true;
    this.results.replaceChildren();
  }

  async #search() {
    const query = this.query.value.trim();
    if (!query) {
      this.#clear();
      return;
    }
    this.#left?.abort();
    this.#left = new AbortController();
    this.results.hidden = false;
    this.results.replaceChildren(skeleton(5));
    try {
      const body = { query, limit: Number(this.limit.value), collection: this.collection() };
      const { documents } = await postJSON("search", body, { signal: this.#left.signal });
      this.#show(documents, query);
    } catch (error) {
      if (error.name !== "AbortError") this.results.replaceChildren(failure(error, () => this.#search()));
    }
  }

  #show(passages, query) {
    const text = passages.length ? plural(passages.length, "passage") : "Nothing found";
    announce(text);
    const close = button({ text: "Clear", iconName: "close" }, () => {
      this.query.value = "";
      this.#clear();
      this.query.focus();
    });
    const found = passages.length
      ? h("ol", { class: "passages" }, passages.map((passage) => drawPassage(passage, query)))
      : emptiness({ iconName: "search", title: "Nothing found", text: "This collection holds no documents that you may read." });
    this.results.replaceChildren(h("div", { class: "results-head" }, h("h2", {}, text), h("span", { class: "space" }), close), found);
  }
}

function drawPassage({ id, content, score, metadata }, query) {
  const { title, document_id, collection, sensitivity, ranks } = metadata;
  const open = () => openPassage({ document_id, collection, passage: id, title, content });
  return h("li", {},
    h("div", { class: "passage-head" },
      h("button", { type: "button", class: "link", on: { click: open } }, title || document_id),
      labelBadge(sensitivity),
      h("span", { class: "space" }),
      h("span", { class: "score", title: "How near it is, from 0 to 1" }, score.toFixed(2)),
      ranks && rankBadge("meaning", ranks.meaning),
      ranks && rankBadge("words", ranks.words)),
    h("p", { class: "passage-text" }, highlight(content, query)));
}

const rankBadge = (name, rank) =>
  h("span", { class: `rank ${rank ? "" : "none"}`, title: rank ? `Place ${rank} by ${name}` : `Not among the first by ${name}` }, `${name} ${rank ? `#${rank}` : "–"}`);

/** The text with the words of the query marked. */
function highlight(text, query) {
  const terms = [...new Set(query.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])].filter((term) => term.length >= SHORTEST_WORD || /\p{Lo}|\d/u.test(term));
  if (!terms.length) return [text];
  const escaped = terms.map((term) => term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(`(${escaped.join("|")})`, "giu");
  return text.split(pattern).map((part, index) => (index % 2 ? h("mark", {}, part) : part));
}
