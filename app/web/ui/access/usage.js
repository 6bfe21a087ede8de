// What was used and what it cost, added up by what one likes, as a table and as CSV.

import { getJSON, send, withQuery } from "../api.js";
import { emptiness, failure, report, skeleton } from "../dialogs.js";
import { button, h, select } from "../dom.js";
import { count, dollars, words } from "../format.js";
import { labelBadge } from "../labels.js";
import { saveFile } from "../save.js";
import { table } from "./table.js";

const GROUPS = [["day", "By day"], ["model", "By model"], ["key", "By key"], ["user", "By user"], ["label", "By label"], ["tenant", "By tenant"], ["day,model", "By day and model"]];
const PERIODS = [["month", "This month"], ["week", "The last 7 days"], ["last", "Last month"]];
const SUMS = [["requests", "Requests"], ["cached_requests", "From the cache"], ["prompt_tokens", "Prompt tokens"], ["completion_tokens", "Completion tokens"], ["estimated_tokens", "Of them estimated"], ["cost", "Cost"]];
const SHOWN = 200;

export class UsageTable {
  constructor() {
    this.by = select({ options: GROUPS, "aria-label": "Add up" }, () => this.refresh());
    this.period = select({ options: PERIODS, "aria-label": "Period" }, () => this.refresh());
    this.body = h("div");
    this.element = h("section", { class: "card", "aria-label": "Usage" },
      h("div", { class: "results-head" }, h("h2", {}, "Usage"), h("small", { class: "muted" }, "days in UTC"), h("span", { class: "space" }), this.by, this.period,
        button({ text: "CSV", label: "Save usage as CSV", iconName: "download", kind: "outline" }, () => this.#save())),
      this.body);
  }

  async refresh() {
    this.body.replaceChildren(skeleton(4));
    try {
      this.#draw(await getJSON(this.#query({ limit: SHOWN })));
    } catch (error) {
      this.body.replaceChildren(failure(error, () => this.refresh()));
    }
  }

  #query(more) {
    return withQuery("usage", { by: this.by.value, ...daysOf(this.period.value, new Date()), ...more });
  }

  #draw({ usage, total, next }) {
    if (!usage.length) return this.body.replaceChildren(emptiness(NO_USAGE));
    const groups = this.by.value.split(",");
    const rows = usage.map((row) => h("tr", {}, groups.map((group) => groupCell(group, row[group])), sumCells(row)));
    const foot = h("tr", {}, h("th", { scope: "row", colspan: groups.length }, "All together"), sumCells(total));
    this.body.replaceChildren(
      table("Usage", { names: [...groups.map(capital), ...SUMS.map(([, name]) => name)], rows, feet: [foot] }),
      next === null ? "" : h("p", { class: "muted" }, `The first ${count(SHOWN)} rows; the CSV has up to 10,000.`));
  }

  async #save() {
    try {
      const response = await send(this.#query({ format: "csv", limit: 10_000 }));
      saveFile("usage.csv", await response.blob());
    } catch (error) {
      report(error);
    }
  }
}

/** The first and last day of a period, as the service wants them: `2024-02-29`. */
function daysOf(period, now) {
  const day = (...offsets) => new Date(Date.UTC(...offsets)).toISOString().slice(0, 10);
  const [year, month, date] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()];
  if (period === "week") return { from: day(year, month, date - 6), to: day(year, month, date) };
  if (period === "last") return { from: day(year, month - 1, 1), to: day(year, month, 0) };
  return { from: day(year, month, 1), to: day(year, month, date) };
}

function groupCell(group, value) {
  if (group === "label" && value) return h("td", {}, labelBadge(value));
  return h("td", {}, value || "–");
}

const sumCells = (row) => SUMS.map(([name]) => h("td", { class: "number" }, name === "cost" ? dollars(row[name]) : count(row[name])));

const capital = (name) => words(name).replace(/^./, (first) => first.toUpperCase());

const NO_USAGE = { iconName: "dashboard", title: "No usage yet", text: "Requests that were answered show here with their tokens and cost." };
