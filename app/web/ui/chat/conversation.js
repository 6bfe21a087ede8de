// One conversation: its turns, and the requests that add to it. Knows nothing of elements.

import { events, getJSON, pathTo, send, withQuery } from "../api.js";

const PAGE = 60;
const LARGEST_PAGE = 1000;

/** A random id as the service makes them; also on pages that are not a secure context. */
const makeId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class Conversation {
  /** `stored` says whether the service keeps conversations; if not, each request carries all turns. */
  constructor({ stored, sessionId = null, turns = [], previous = null }) {
    this.stored = stored;
    this.sessionId = sessionId;
    this.turns = turns;
    this.previous = previous; // the cursor of the stored turns before these
    this.running = null;
  }

  /** The end of a stored conversation. */
  static async load(sessionId) {
    const { messages, previous } = await readMessages(sessionId, { limit: PAGE });
    return new Conversation({ stored: true, sessionId, turns: messages, previous });
  }

  /** Read the turns before those that are here; how many there were. */
  async loadEarlier() {
    if (this.previous === null) return 0;
    const { messages, previous } = await readMessages(this.sessionId, { limit: PAGE, before: this.previous });
    this.previous = previous;
    this.turns.unshift(...messages);
    return messages.length;
  }

  /** The conversation as it goes on after another of the messages that stand in the same place. */
  async switchTo(messageId) {
    await send(`sessions/${pathTo(this.sessionId)}`, { method: "PATCH", json: { active: messageId } });
    return Conversation.load(this.sessionId);
  }

  get busy() {
    return this.running !== null;
  }

  stop() {
    this.running?.abort();
  }

  /** Ask; `onChange(turn)` is called for each turn that was added or has changed. Never throws: trouble is a turn's. */
  async ask({ text, images = [] }, options, onChange) {
    const asked = { role: "user", text, images, status: "done" };
    const history = this.turns.slice();
    this.turns.push(asked);
    onChange(asked);
    await this.#answer(this.#bodyFor(asked, history), options, onChange);
  }

  /** Ask something else in the place of an earlier question: what followed it is left behind. */
  async edit(turn, { text, images }, options, onChange) {
    const index = await this.#locate(turn);
    const before = this.turns[index - 1];
    this.turns.length = index;
    const asked = { role: "user", text, images, status: "done" };
    const history = this.turns.slice();
    this.turns.push(asked);
    onChange(null);
    const body = this.#bodyFor(asked, history);
    if (this.stored) body.parent_id = before?.id ?? "root";
    await this.#answer(body, options, onChange);
  }

  /** Answer the question before `turn` anew, without the cache. */
  async regenerate(turn, options, onChange) {
    const index = await this.#locate(turn);
    const answer = this.turns[index];
    const asked = this.turns[index - 1];
    this.turns.length = index;
    onChange(null);
    const fresh = { ...options, cache: { read: false } };
    if (this.stored && answer.id) {
      await this.#answer({ session_id: this.sessionId, regenerate: answer.id }, fresh, onChange);
    } else if (this.stored) {
      await this.#answer({ ...this.#bodyFor(asked, []), parent_id: this.turns.at(-2)?.id ?? "root" }, fresh, onChange);
    } else {
      await this.#answer(this.#bodyFor(asked, this.turns.slice(0, -1)), fresh, onChange);
    }
  }

  /** Where a turn stands; where its id is needed and not known yet, the stored turns are read again. */
  async #locate(turn) {
    const index = this.turns.indexOf(turn);
    const needed = this.stored && this.turns.slice(Math.max(0, index - 1), index + 1).some((each) => !each.id);
    if (needed) await this.#readIds();
    return index;
  }

  async #readIds() {
    const stored = (await readMessages(this.sessionId, { limit: LARGEST_PAGE })).messages;
    // An answer that failed before its first word is not stored, so turns are matched from the end, by what they say.
    let last = stored.length;
    for (const turn of this.turns.toReversed()) {
      const found = stored.slice(0, last).findLastIndex((each) => each.role === turn.role && each.text === turn.text);
      if (found < 0) continue;
      const { id, siblings } = stored[found];
      Object.assign(turn, { id, siblings });
      last = found;
    }
  }

  #bodyFor(asked, history) {
    if (this.stored) {
      this.sessionId ??= makeId();
      const prompt = asked.images.length ? { messages: [writeTurn(asked)] } : { message: asked.text };
      return { session_id: this.sessionId, ...prompt };
    }
    const said = history.filter((turn) => turn.text || turn.images?.length);
    return { messages: [...said, asked].map(writeTurn) };
  }

  async #answer(body, options, onChange) {
    const began = performance.now();
    const answer = { role: "assistant", text: "", images: [], status: "waiting" };
    this.turns.push(answer);
    this.running = new AbortController();
    onChange(answer);
    try {
      const response = await send("chat/stream", {
        method: "POST",
        json: { ...body, ...options },
        signal: this.running.signal,
      });
      for await (const event of events(response)) {
        this.#take(event, answer, began);
        onChange(answer);
      }
      answer.status = "done";
    } catch (error) {
      answer.status = error.name === "AbortError" ? "stopped" : "failed";
      answer.error = error.name === "AbortError" ? null : error;
    }
    answer.seconds = (performance.now() - began) / 1000;
    this.running = null;
    onChange(answer);
  }

  #take(event, answer, began) {
    if (event.model) Object.assign(answer, { model: event.model, route: event.route, status: "streaming" });
    if (event.content) {
      answer.firstToken ??= (performance.now() - began) / 1000;
      answer.text += event.content;
    }
    if (event.done) {
      const { usage, cost, cached, citations, finish_reason } = event;
      Object.assign(answer, { usage, cost, cached, citations, finishReason: finish_reason });
    }
  }
}

function writeTurn({ role, text, images = [] }) {
  if (!images.length) return { role, content: text };
  const pictures = images.map((url) => ({ type: "image_url", image_url: { url } }));
  return { role, content: [...(text ? [{ type: "text", text }] : []), ...pictures] };
}

async function readMessages(sessionId, page) {
  const { messages, previous = null } = await getJSON(withQuery(`sessions/${pathTo(sessionId)}`, page));
  return { messages: messages.filter(({ role }) => role === "user" || role === "assistant").map(readTurn), previous };
}

/** A stored message as a turn. */
function readTurn(message) {
  const parts = Array.isArray(message.content) ? message.content : [{ type: "text", text: message.content ?? "" }];
  return {
    ...message,
    text: parts.filter((part) => part.type === "text").map((part) => part.text).join("\n"),
    images: parts.filter((part) => part.type === "image_url").map((part) => part.image_url.url),
    status: message.complete === false ? "stopped" : "done",
  };
}
