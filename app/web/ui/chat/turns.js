// The turns of a conversation, newest at the end. Of a long one only the last are drawn until somebody scrolls up.

import { report } from "../dialogs.js";
import { button } from "../dom.js";
import { TurnView } from "./turn.js";

const PAGE = 40;
const NEAR = 120; // pixels from the end within which new text is followed

export class TurnList {
  #views = new Map();
  #drawn = 0;
  #pending = new Set();
  #frame = 0;
  #cost = 0;
  #loading = false;

  /** `source` is what the turns are from: its `turns`, `previous` and `loadEarlier()`. */
  constructor({ scroll, list, actions, welcome }) {
    Object.assign(this, { scroll, list, actions, welcome });
    this.source = { turns: [], previous: null };
    this.earlier = button({ text: "Show earlier messages", kind: "outline", class: "button outline earlier" }, () => this.#drawEarlier());
    this.latest = button({ text: "Latest", iconName: "down", class: "button outline latest", hidden: true }, () => this.#toEnd());
    scroll.after(this.latest);
    scroll.addEventListener("scroll", () => this.#onScroll(), { passive: true });
  }

  /** Show the turns of a conversation from their end. */
  show(source) {
    this.source = source;
    const { turns } = source;
    this.#views.clear();
    this.#drawn = Math.max(0, turns.length - PAGE);
    this.list.replaceChildren(this.earlier, ...turns.slice(this.#drawn).map((turn) => this.#draw(turn)));
    if (!turns.length) this.list.append(this.welcome());
    this.#countEarlier();
    this.#toEnd();
  }

  /** A turn was added or has changed; null if turns were taken away. */
  update(turn) {
    if (turn === null) {
      this.show(this.source);
      return;
    }
    if (!this.#views.has(turn)) {
      if (!this.#views.size) this.list.replaceChildren(this.earlier);
      this.list.append(this.#draw(turn));
      this.#toEnd();
    }
    this.#pending.add(turn);
    // Drawing a long answer takes long, and must not take all the time there is.
    if (!this.#frame) this.#frame = setTimeout(() => this.#redraw(), Math.max(16, this.#cost * 3));
  }

  #redraw() {
    const began = performance.now();
    const follow = this.#atEnd();
    for (const turn of this.#pending) this.#views.get(turn)?.update();
    this.#pending.clear();
    this.#frame = 0;
    if (follow) this.#toEnd();
    this.#cost = performance.now() - began;
  }

  #draw(turn) {
    const view = new TurnView(turn, this.actions);
    this.#views.set(turn, view);
    return view.element;
  }

  async #drawEarlier() {
    if (this.#loading) return;
    this.#loading = true;
    try {
      if (this.#drawn === 0) this.#drawn = await this.source.loadEarlier();
      const from = Math.max(0, this.#drawn - PAGE);
      const height = this.scroll.scrollHeight;
      this.earlier.after(...this.source.turns.slice(from, this.#drawn).map((turn) => this.#draw(turn)));
      this.#drawn = from;
      this.scroll.scrollTop += this.scroll.scrollHeight - height;
      this.#countEarlier();
    } catch (error) {
      report(error);
    } finally {
      this.#loading = false;
    }
  }

  #countEarlier() {
    this.earlier.hidden = this.#drawn === 0 && this.source.previous === null;
  }

  #onScroll() {
    this.latest.hidden = this.#atEnd();
    if (this.scroll.scrollTop < 40 && !this.earlier.hidden) this.#drawEarlier();
  }

  #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroll;
    return scrollHeight - scrollTop - clientHeight < NEAR;
  }

  #toEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
  }
}
