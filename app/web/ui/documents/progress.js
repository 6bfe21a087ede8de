// Follows documents until they are indexed or failed: a few by their events, many by reading the list now and then,
// so that a thousand files do not become a thousand requests.

import { events, getJSON, pathTo, send, withQuery } from "../api.js";

const FEW = 3;
const PAUSE = 2500; // milliseconds between two readings of the list
const LARGEST_PAGE = 1000;

const nameOf = (document) => `${document.collection}\n${document.id}`;
const isOver = (document) => document.status === "indexed" || document.status === "failed";

export class Progress {
  #waiting = new Map();
  #left = null;
  #running = false;

  /** `onNews(document)` is called whenever a document has come further. */
  constructor({ onNews }) {
    this.onNews = onNews;
  }

  /** Follow those that are not over. */
  follow(documents) {
    for (const document of documents) if (!isOver(document)) this.#waiting.set(nameOf(document), document);
    if (!this.#running) this.#run();
  }

  /** Stop at once, as when the view is closed. */
  stop() {
    this.#left?.abort();
    this.#waiting.clear();
  }

  async #run() {
    this.#running = true;
    this.#left = new AbortController();
    const { signal } = this.#left;
    while (this.#waiting.size && !signal.aborted) {
      try {
        if (this.#waiting.size <= FEW) await Promise.all([...this.#waiting.values()].map((each) => this.#watch(each, signal)));
        else await this.#readList(signal);
      } catch (error) {
        if (error.name === "AbortError") break;
        await pause((error.retryAfter ?? 5) * 1000, signal);
      }
    }
    this.#running = false;
    if (this.#waiting.size) this.#run(); // something new came while the old was being stopped
  }

  #take(document) {
    if (!this.#waiting.has(nameOf(document))) return;
    if (isOver(document)) this.#waiting.delete(nameOf(document));
    this.onNews(document);
  }

  async #watch(document, signal) {
    const path = withQuery(`documents/${pathTo(document.id)}/events`, { collection: document.collection });
    try {
      for await (const news of events(await send(path, { signal, quiet: true }))) this.#take(news);
    } catch (error) {
      if (error.status !== 404) throw error;
    }
    this.#waiting.delete(nameOf(document)); // over, or gone
  }

  async #readList(signal) {
    await pause(PAUSE, signal);
    const seen = new Set();
    let after = null;
    do {
      const page = await getJSON(withQuery("documents", { limit: LARGEST_PAGE, after }), { signal, quiet: true });
      for (const document of page.documents) {
        seen.add(nameOf(document));
        this.#take(document);
      }
      after = page.next;
    } while (after && [...this.#waiting.keys()].some((name) => !seen.has(name)));
    for (const name of this.#waiting.keys()) if (!seen.has(name)) this.#waiting.delete(name);
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
