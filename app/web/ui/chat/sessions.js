// The list of stored conversations: find, open, rename, delete. A service that stores none has no list.

import { getJSON, pathTo, send, withQuery } from "../api.js";
import { ask, confirm, report, skeleton } from "../dialogs.js";
import { button, h } from "../dom.js";
import { ago } from "../format.js";

const PAGE = 50;
const PAUSE = 250; // milliseconds after the last key before a search

export class SessionList {
  #next = null;
  #timer = 0;

  /** `onOpen(id)`, `onNew()` and `onDeleted(id)`. */
  constructor({ element, onOpen, onNew, onDeleted }) {
    this.element = element;
    this.handlers = { onOpen, onNew, onDeleted };
    this.current = null;
    this.search = h("input", { type: "search", placeholder: "Search conversations", "aria-label": "Search conversations" });
    this.search.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.refresh().catch(report), PAUSE);
    });
    this.list = h("ul", { class: "session-list" });
    this.more = button({ text: "Show more", kind: "outline", hidden: true }, () => this.#load(this.#next).catch(report));
    element.append(
      h("div", { class: "sessions-head" },
        button({ text: "New chat", iconName: "plus", kind: "outline" }, onNew),
        button({ label: "Close the list", iconName: "close", class: "button quiet only-narrow" }, () => this.fold())),
      this.search, this.list, this.more,
    );
  }

  /** Whether the service stores conversations; draws the list if it does. */
  async detect() {
    this.list.replaceChildren(h("li", {}, skeleton(5)));
    try {
      await this.refresh();
      this.element.hidden = false;
      return true;
    } catch (error) {
      if (![401, 403, 404, 405].includes(error.status)) report(error);
      this.element.hidden = true;
      return false;
    }
  }

  async refresh() {
    await this.#load(null);
  }

  unfold() {
    this.element.classList.add("unfolded");
    this.search.focus();
  }

  fold() {
    this.element.classList.remove("unfolded");
  }

  /** Mark the open conversation. */
  mark(id) {
    this.current = id;
    for (const item of this.list.children) {
      const link = item.querySelector(".session-open");
      if (link) link.setAttribute("aria-current", String(item.dataset.id === id));
    }
  }

  async #load(after) {
    const path = withQuery("sessions", { limit: PAGE, search: this.search.value.trim(), after });
    const { sessions, next = null } = await getJSON(path, { quiet: true });
    const items = sessions.map((session) => this.#item(session));
    if (after === null) this.list.replaceChildren(...items);
    else this.list.append(...items);
    if (!this.list.children.length) this.list.append(h("li", { class: "muted none" }, this.search.value ? "Nothing found." : "No conversations yet."));
    this.#next = next;
    this.more.hidden = next === null;
  }

  #item(session) {
    const title = session.title || "New conversation";
    const open = () => {
      this.fold();
      this.handlers.onOpen(session.id);
    };
    return h(
      "li",
      { "data-id": session.id },
      h("button", { type: "button", class: "session-open", "aria-current": String(session.id === this.current), on: { click: open } },
        h("span", { class: "session-title" }, title), h("small", {}, ago(session.updated_at))),
      button({ label: `Rename: ${title}`, iconName: "edit" }, () => this.#rename(session, title)),
      button({ label: `Delete: ${title}`, iconName: "trash" }, () => this.#remove(session, title)),
    );
  }

  async #rename(session, title) {
    const chosen = await ask({ title: "Rename the conversation", label: "Title", value: title, action: "Rename" });
    if (!chosen) return;
    await send(`sessions/${pathTo(session.id)}`, { method: "PATCH", json: { title: chosen } }).then(() => this.refresh()).catch(report);
  }

  async #remove(session, title) {
    const text = `“${title}” and all its messages are erased. This cannot be undone.`;
    if (!(await confirm({ title: "Delete the conversation?", text, action: "Delete" }))) return;
    try {
      await send(`sessions/${pathTo(session.id)}`, { method: "DELETE" });
      this.handlers.onDeleted(session.id);
      await this.refresh();
    } catch (error) {
      report(error);
    }
  }
}

