// One turn as an element that follows it: question or answer, sources, facts, what can be done with it.

import { adviceFor } from "../advice.js";
import { button, h, icon } from "../dom.js";
import { MarkdownView, copyButton } from "../markdown.js";
import { openPassage } from "../passage.js";
import { explanation } from "./explanation.js";

const SAFE_IMAGE = /^data:image\/(png|jpeg|gif|webp);base64,/;

export class TurnView {
  /** `actions` are `edit(turn, content)`, `regenerate(turn)`, `switchTo(id)` and `models()`. */
  constructor(turn, actions) {
    this.turn = turn;
    this.actions = actions;
    this.element = h("article", { class: `turn ${turn.role}`, "aria-label": turn.role === "user" ? "You" : "Answer" });
    this.body = h("div", { class: "turn-body" });
    this.foot = h("div", { class: "turn-foot" });
    this.element.append(this.body, this.foot);
    if (turn.role === "user") this.#drawQuestion();
    else this.#drawAnswer();
  }

  /** Show the turn as it is now. */
  update() {
    if (this.turn.role === "user") return;
    const { text, status } = this.turn;
    this.element.setAttribute("aria-busy", status === "waiting" || status === "streaming");
    this.element.classList.toggle("streaming", status === "waiting" || status === "streaming");
    this.waiting.hidden = status !== "waiting";
    this.markdown.show(text, { cite: status === "done" ? this.#citer() : null });
    if (status === "waiting" || status === "streaming") return;
    this.foot.replaceChildren(...[this.#trouble(), this.#sources(), this.#facts()].filter(Boolean));
  }

  #drawQuestion() {
    const { text, images } = this.turn;
    const pictures = images.map((url) =>
      SAFE_IMAGE.test(url)
        ? h("img", { src: url, alt: "Attached picture", class: "attached" })
        : h("span", { class: "not-a-link" }, icon("image", 14), " ", url.slice(0, 200)),
    );
    this.body.replaceChildren(...pictures, h("p", { class: "plain" }, text));
    this.foot.replaceChildren(
      h(
        "div",
        { class: "turn-actions" },
        this.#branches(),
        copyButton(() => text, "Copy the question"),
        button({ label: "Edit the question", iconName: "edit" }, () => this.#drawEditor()),
      ),
    );
  }

  #drawEditor() {
    const input = h("textarea", { "aria-label": "Edit your message", rows: Math.min(10, this.turn.text.split("\n").length + 1) });
    input.value = this.turn.text;
    const save = () => input.value.trim() && this.actions.edit(this.turn, { text: input.value.trim(), images: this.turn.images });
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#drawQuestion();
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      save();
    });
    this.body.replaceChildren(input);
    this.foot.replaceChildren(
      h(
        "div",
        { class: "editor-actions" },
        button({ text: "Cancel" }, () => this.#drawQuestion()),
        button({ text: "Ask again", kind: "primary" }, save),
      ),
    );
    input.focus();
  }

  #drawAnswer() {
    const text = h("div");
    this.markdown = new MarkdownView(text);
    this.waiting = h("div", { class: "thinking", "aria-label": "Waiting for the answer", role: "img" }, h("i"), h("i"), h("i"));
    this.body.append(this.waiting, text);
    this.update();
  }

  #trouble() {
    const { status, error, text } = this.turn;
    if (status === "stopped") return h("p", { class: "muted stopped" }, text ? "Stopped here." : "Stopped before the first word.");
    if (status !== "failed") return null;
    return h("div", { class: "failure", role: "alert" }, icon("shield"), h("div", {}, h("strong", {}, error.message), h("p", {}, adviceFor(error))));
  }

  #sources() {
    const { citations = [] } = this.turn;
    if (!citations.length) return null;
    const list = citations.map((citation, index) =>
      h(
        "li",
        {},
        h(
          "button",
          { type: "button", class: "source", on: { click: () => openPassage(citation) } },
          h("span", { class: "source-number" }, String(this.#numbers()[index])),
          h("span", { class: "source-title" }, citation.title || citation.document_id),
        ),
      ),
    );
    return h("div", { class: "sources" }, h("h3", {}, icon("book", 15), "Sources"), h("ul", {}, list));
  }

  #facts() {
    const actions = h(
      "div",
      { class: "turn-actions" },
      this.#branches(),
      this.turn.text && copyButton(() => this.turn.text, "Copy the answer"),
      button({ label: "Answer again", iconName: "again" }, () => this.actions.regenerate(this.turn)),
    );
    return h("div", { class: "foot-line" }, explanation(this.turn, this.actions.models()), actions);
  }

  /** Which of the messages that were tried in this place this is, and the way to the others. */
  #branches() {
    const { siblings = [], id } = this.turn;
    if (siblings.length < 2) return null;
    const at = siblings.indexOf(id);
    const go = (step) => () => this.actions.switchTo(siblings[at + step]);
    return h(
      "span",
      { class: "branches" },
      button({ label: "The version before", iconName: "left", disabled: at <= 0 }, go(-1)),
      `${at + 1} / ${siblings.length}`,
      button({ label: "The next version", iconName: "right", disabled: at >= siblings.length - 1 }, go(1)),
    );
  }

  /** The numbers that the citations have in the text: they come in the order of their numbers. */
  #numbers() {
    const { citations = [], text } = this.turn;
    const said = [...new Set([...text.matchAll(/\[(\d{1,3})\]/g)].map((match) => Number(match[1])))].sort((a, b) => a - b);
    return said.length === citations.length ? said : citations.map((_, index) => index + 1);
  }

  #citer() {
    const { citations = [] } = this.turn;
    if (!citations.length) return null;
    const numbers = this.#numbers();
    return (number) => {
      const citation = citations[numbers.indexOf(number)];
      if (!citation) return null;
      const label = `Source ${number}: ${citation.title}`;
      return h("button", { type: "button", class: "cite", "aria-label": label, title: label, on: { click: () => openPassage(citation) } }, String(number));
    };
  }
}
