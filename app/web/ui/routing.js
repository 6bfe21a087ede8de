// Routing: where a prompt would go, and why, without sending it to anyone.

import { postJSON } from "./api.js";
import { candidateList, localityOf } from "./chat/explanation.js";
import { failure, skeleton } from "./dialogs.js";
import { field, h, icon, select } from "./dom.js";
import { words } from "./format.js";
import { LABEL_OPTIONS, findings, labelBadge, localityBadge } from "./labels.js";
import { listModels, modelOptions } from "./models.js";

const PAUSE = 600; // milliseconds after the last key
const EXAMPLES = [
  "Give me three names for a cat.",
  "Prove that there are infinitely many primes, then explain where the proof uses unique factorisation.",
  "Write to jane.doe@initech.com that her card 4111 1111 1111 1111 was charged twice.",
];

export function routingView(section) {
  return new RoutingView(section);
}

class RoutingView {
  #timer = 0;
  #left = null;

  constructor(section) {
    this.prompt = h("textarea", { rows: 6, maxlength: 1_000_000, placeholder: "Type a prompt and see where it would go" });
    this.label = select({ options: [["", "Automatic"], ...LABEL_OPTIONS.slice(1)] });
    this.model = select({ options: [["", "Automatic"]] });
    this.complexity = select({ options: [["", "Measured"], ["simple", "Simple"], ["moderate", "Moderate"], ["complex", "Complex"]] });
    this.documents = h("input", { type: "checkbox", checked: true });
    this.result = h("div", { class: "route-result", "aria-live": "polite" });
    for (const control of [this.prompt, this.label, this.model, this.complexity, this.documents]) control.addEventListener("input", () => this.#soon());
    section.append(
      h("header", { class: "page-head" }, h("div", {}, h("h1", { id: "routing-title" }, "Routing"),
        h("p", {}, "See which label a prompt gets, how hard it is, and which model would answer. Nothing is sent to a model."))),
      h("div", { class: "columns" },
        h("section", { class: "card", "aria-label": "Prompt" },
          field("Prompt", this.prompt),
          h("div", { class: "examples" }, EXAMPLES.map((text, index) => h("button", { type: "button", class: "chip", on: { click: () => this.#use(text) } }, ["Easy", "Hard", "Confidential"][index]))),
          h("div", { class: "fields" }, field("Label", this.label), field("Model", this.model), field("Difficulty", this.complexity)),
          h("label", { class: "check" }, this.documents, "Draw on the documents")),
        h("section", { class: "card", "aria-label": "Where it would go" }, this.result)),
    );
    this.#show(null);
  }

  async open() {
    this.models = await listModels({ fresh: true });
    const options = [["", "Automatic"], ...modelOptions(this.models).slice(1)];
    const chosen = this.model.value;
    this.model.replaceChildren(...options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  }

  close() {
    clearTimeout(this.#timer);
    this.#left?.abort();
  }

  #use(text) {
    this.prompt.value = text;
    this.#explain();
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#explain(), PAUSE);
  }

  async #explain() {
    clearTimeout(this.#timer);
    this.#left?.abort();
    const message = this.prompt.value;
    if (!message.trim()) {
      this.#show(null);
      return;
    }
    this.#left = new AbortController();
    const waiting = setTimeout(() => this.result.replaceChildren(skeleton(6)), 200);
    try {
      const body = { message, documents: this.documents.checked };
      for (const [name, control] of [["sensitivity", this.label], ["model", this.model], ["complexity", this.complexity]]) if (control.value) body[name] = control.value;
      const explanation = await postJSON("route", body, { signal: this.#left.signal });
      clearTimeout(waiting);
      this.#show(explanation);
    } catch (error) {
      clearTimeout(waiting);
      if (error.name !== "AbortError") this.result.replaceChildren(failure(error, () => this.#explain()));
    }
  }

  #show(explanation) {
    if (explanation === null) {
      this.result.replaceChildren(h("div", { class: "empty" }, icon("routing", 32), h("h3", {}, "Nothing to explain yet"), h("p", {}, "Type a prompt, or take one of the examples.")));
      return;
    }
    const { model, sensitivity, complexity, complexity_score: score, route } = explanation;
    const target = model
      ? h("div", { class: "target" }, h("small", {}, "It would go to"), h("strong", {}, model), localityBadge(localityOf(model, this.models ?? [])))
      : h("div", { class: "target none" }, h("small", {}, "It would be refused"), h("strong", {}, "No model may or can answer this now"));
    this.result.replaceChildren(
      target,
      h("dl", { class: "story" },
        h("dt", {}, "Label"), h("dd", {}, labelBadge(sensitivity), findings(route.raised_by)),
        h("dt", {}, "Difficulty"), h("dd", {}, h("meter", { min: 0, max: 1, value: score, "aria-label": `Difficulty ${score}` }), ` ${complexity} `, h("span", { class: "muted" }, score.toFixed(2))),
        h("dt", {}, "Rule"), h("dd", {}, words(route.rule)),
        h("dt", {}, "Candidates"), h("dd", {}, candidateList(route.candidates))),
    );
  }
}
