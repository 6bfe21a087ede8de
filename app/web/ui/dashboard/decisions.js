// The last decisions as a table with filters, and as CSV.

import { button, h, icon, select } from "../dom.js";
import { count, dollars, seconds, words } from "../format.js";
import { LABELS, labelBadge } from "../labels.js";
import { saveFile } from "../save.js";

const SHOWN = 200;
const COLUMNS = ["time", "request_id", "tenant", "label", "raised_by", "rule", "model", "locality", "outcome", "cached",
  "seconds", "first_token_seconds", "prompt_tokens", "completion_tokens", "cost", "saved"];

export class DecisionTable {
  #decisions = [];

  constructor() {
    const redraw = () => this.#draw();
    this.text = h("input", { type: "search", placeholder: "Filter: model, rule, outcome, id", "aria-label": "Filter decisions", on: { input: redraw } });
    this.label = select({ options: [["", "Every label"], ...LABELS.map((each) => [each, each])], "aria-label": "Label" }, redraw);
    this.kind = select({ options: [["", "Every outcome"], ["ok", "Answered"], ["cached", "From the cache"], ["failed", "Failed"]], "aria-label": "Outcome" }, redraw);
    this.body = h("tbody");
    this.note = h("p", { class: "muted" });
    this.element = h("section", { class: "card decisions", "aria-label": "Last decisions" },
      h("div", { class: "results-head" }, h("h2", {}, "Last decisions"), h("span", { class: "space" }), this.text, this.label, this.kind,
        button({ text: "CSV", label: "Save as CSV", iconName: "download", kind: "outline" }, () => this.#save())),
      h("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Decisions" },
        h("table", {}, h("thead", {}, h("tr", {}, ["Time", "Label", "Raised by", "Model", "Outcome", "First token", "Whole", "Tokens", "Cost"].map((name) => h("th", { scope: "col" }, name)))), this.body)),
      this.note);
  }

  show(decisions) {
    this.#decisions = decisions;
    this.#draw();
  }

  get #chosen() {
    const text = this.text.value.trim().toLowerCase();
    return this.#decisions.filter((each) =>
      (!this.label.value || each.label === this.label.value) &&
      (!this.kind.value || kindOf(each) === this.kind.value) &&
      (!text || [each.model, each.rule, each.outcome, each.request_id, each.tenant].join(" ").toLowerCase().includes(text)));
  }

  #draw() {
    const chosen = this.#chosen;
    this.body.replaceChildren(...chosen.slice(0, SHOWN).map(drawRow));
    const left = chosen.length - SHOWN;
    this.note.textContent = chosen.length ? (left > 0 ? `${count(left)} more are in the CSV.` : "") : "No decisions yet, or none that match.";
  }

  #save() {
    const lines = [COLUMNS, ...this.#chosen.map((each) => COLUMNS.map((name) => each[name]))];
    const text = lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
    saveFile("decisions.csv", new Blob([text], { type: "text/csv" }));
  }
}

const kindOf = ({ outcome, cached }) => (outcome !== "ok" ? "failed" : cached ? "cached" : "ok");

function drawRow(each) {
  const tokens = each.prompt_tokens === null ? "–" : count(each.prompt_tokens + each.completion_tokens);
  const outcome = each.cached ? "cached" : words(each.outcome);
  return h("tr", {},
    h("td", {}, h("time", { datetime: each.time, title: each.request_id }, new Date(each.time).toLocaleTimeString("en", { hour12: false }))),
    h("td", {}, each.label ? labelBadge(each.label) : "–"),
    h("td", {}, each.raised_by.map(words).join(", ") || "–"),
    h("td", { class: "model" }, each.locality && icon(each.locality === "local" ? "home" : "cloud", 14), each.model ?? "–"),
    h("td", {}, h("span", { class: `status ${each.outcome === "ok" ? "ok" : "bad"}` }, outcome)),
    h("td", { class: "number" }, seconds(each.first_token_seconds)),
    h("td", { class: "number" }, seconds(each.seconds)),
    h("td", { class: "number" }, tokens),
    h("td", { class: "number" }, each.prompt_tokens === null ? "–" : dollars(each.cost)));
}

/** A value as a cell (RFC 4180); what a spreadsheet would take for a formula is kept from being one. */
function cell(value) {
  const text = Array.isArray(value) ? value.join(" ") : String(value ?? "");
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
