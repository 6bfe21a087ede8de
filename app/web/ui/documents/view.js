// Documents: add, follow, search, read, delete.

import { getJSON, pathTo, send, withQuery } from "../api.js";
import { adviceFor } from "../advice.js";
import { confirm, emptiness, failure, report, skeleton } from "../dialogs.js";
import { announce, button, field, h, icon, select } from "../dom.js";
import { ago, bytes, plural, words } from "../format.js";
import { LABEL_OPTIONS, labelBadge } from "../labels.js";
import { openDocument } from "../passage.js";
import { Progress } from "./progress.js";
import { SearchPanel } from "./search.js";
import { Uploads } from "./uploads.js";

const PAGE = 100;

export function documentsView(section) {
  const view = new DocumentsView(section);
  document.addEventListener("sluice:key", () => view.isOpen && view.refresh());
  return view;
}

class DocumentsView {
  #rows = new Map();
  #next = null;
  #loading = false;

  constructor(section) {
    this.isOpen = false;
    this.progress = new Progress({ onNews: (document) => this.#show(document) });
    this.collection = h("input", { placeholder: "default", maxlength: 512, autocomplete: "off" });
    this.label = select({ options: [["", "Automatic"], ...LABEL_OPTIONS.slice(1)] });
    this.uploads = new Uploads({
      fields: () => ({ collection: this.collection.value.trim(), sensitivity: this.label.value }),
      onAccepted: (documents) => this.#accept(documents),
    });
    this.search = new SearchPanel({ collection: () => this.collection.value.trim() || "default" });
    this.list = h("ul", { class: "documents", "aria-label": "Documents" });
    this.state = h("div");
    this.more = button({ text: "Show more", kind: "outline", hidden: true }, () => this.#load());
    this.collection.addEventListener("change", () => this.refresh());
    section.append(...this.#parts());
    new IntersectionObserver(([entry]) => entry.isIntersecting && this.isOpen && this.#next && this.#load(), {
      rootMargin: "600px",
    }).observe(this.more);
  }

  open() {
    this.isOpen = true;
    this.refresh();
  }

  close() {
    this.isOpen = false;
    this.progress.stop();
  }

  async refresh() {
    this.#rows.clear();
    this.list.replaceChildren();
    this.#next = null;
    await this.#load();
  }

  #parts() {
    return [
      h("header", { class: "page-head" },
        h("div", {}, h("h1", { id: "documents-title" }, "Documents"),
          h("p", {}, "What answers may draw on. Each has a label, and no model sees one above its clearance."))),
      h("div", { class: "columns" },
        h("section", { class: "card", "aria-label": "Add documents" }, this.uploads.element,
          h("div", { class: "fields" }, field("Label", this.label), field("Collection", this.collection))),
        h("section", { class: "card", "aria-label": "Search" }, this.search.element)),
      this.search.results,
      h("section", { "aria-label": "All documents" }, this.list, this.state, this.more),
    ];
  }

  async #load() {
    if (this.#loading) return;
    this.#loading = true;
    this.more.hidden = true;
    this.state.replaceChildren(skeleton(4));
    try {
      const path = withQuery("documents", { limit: PAGE, after: this.#next, collection: this.collection.value.trim() });
      const { documents, next } = await getJSON(path);
      this.#next = next;
      for (const document of documents) this.#show(document);
      this.progress.follow(documents);
      this.more.hidden = next === null;
      this.state.replaceChildren(...(this.#rows.size ? [] : [nothingYet()]));
    } catch (error) {
      this.state.replaceChildren(failure(error, () => this.#load()));
    } finally {
      this.#loading = false;
    }
  }

  #accept(documents) {
    this.state.replaceChildren();
    for (const document of documents) this.#show(document, { first: true });
    this.progress.follow(documents);
    announce(`${plural(documents.length, "document")} accepted`);
  }

  #show(document, { first = false } = {}) {
    const name = `${document.collection}\n${document.id}`;
    const row = this.#row(document);
    const known = this.#rows.get(name);
    if (known) known.replaceWith(row);
    else if (first) this.list.prepend(row);
    else this.list.append(row);
    this.#rows.set(name, row);
  }

  #row(document) {
    const title = document.title || document.id;
    const details = [document.collection !== "default" && document.collection, bytes(document.size), document.status === "indexed" && plural(document.chunks, "passage"), ago(document.updated_at)];
    return h(
      "li",
      { class: `document ${document.status}` },
      icon("documents", 20),
      h("div", { class: "document-main" },
        h("strong", { class: "document-title" }, title),
        h("small", {}, details.filter(Boolean).join(" · ")),
        document.error && h("p", { class: "why-failed" }, `${document.error.message ?? words(document.error.code)} ${adviceFor(document.error)}`),
        document.warnings.map((warning) => h("p", { class: "warning" }, words(warning)))),
      statusOf(document),
      labelBadge(document.sensitivity),
      h("div", { class: "document-actions" },
        document.status === "indexed" && button({ label: `Read ${title}`, iconName: "book" }, () => openDocument({ ...document, title })),
        button({ label: `Delete ${title}`, iconName: "trash" }, () => this.#remove(document, title))),
    );
  }

  async #remove(document, title) {
    const text = `“${title}” and its passages are erased from every index. This cannot be undone.`;
    if (!(await confirm({ title: "Delete the document?", text, action: "Delete" }))) return;
    try {
      await send(withQuery(`documents/${pathTo(document.id)}`, { collection: document.collection }), { method: "DELETE" });
      const name = `${document.collection}\n${document.id}`;
      this.#rows.get(name)?.remove();
      this.#rows.delete(name);
      if (!this.#rows.size) this.state.replaceChildren(nothingYet());
      announce("Deleted");
    } catch (error) {
      report(error);
    }
  }
}

function statusOf({ status, progress }) {
  if (status === "indexed") return h("span", { class: "status ok" }, icon("check", 15), "ready");
  if (status === "failed") return h("span", { class: "status bad" }, icon("close", 15), "failed");
  const { stage, done, total } = progress;
  const text = stage ? `${words(stage)}${total ? ` ${done}/${total}` : ""}` : "waiting";
  return h("span", { class: "status busy" }, text, h("progress", { max: total || 1, value: total ? done : null, "aria-label": text }));
}

function nothingYet() {
  return emptiness({
    iconName: "documents",
    title: "No documents yet",
    text: "Drop files above: PDF, Word, PowerPoint, Excel, HTML, Markdown, e-mail, text and more.",
  });
}
