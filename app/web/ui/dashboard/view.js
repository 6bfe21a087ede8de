// The dashboard: read every few seconds while it is open and seen, never otherwise.

import { getJSON, send } from "../api.js";
import { failure } from "../dialogs.js";
import { h, icon } from "../dom.js";
import { count, dollars, plural, seconds, short, words } from "../format.js";
import { Chart, linesOf } from "./charts.js";
import { DecisionTable } from "./decisions.js";
import { parseMetrics } from "./metrics.js";
import { PartitionTable } from "./partitions.js";
import { Series, read } from "./series.js";

const EVERY = 2500; // milliseconds
const DECISIONS = 500;

export function dashboardView(section) {
  return new DashboardView(section);
}

class DashboardView {
  #timer = 0;
  #left = null;
  #series = new Series();

  constructor(section) {
    this.tiles = h("div", { class: "tiles" });
    this.trouble = h("div");
    this.live = h("span", { class: "live" }, h("i"), "live");
    this.charts = CHARTS.map((chart) => new Chart(chart));
    this.models = h("tbody");
    this.partitions = new PartitionTable();
    this.table = new DecisionTable();
    section.append(
      h("header", { class: "page-head" }, h("div", {}, h("h1", { id: "dashboard-title" }, "Dashboard"), h("p", {}, "The last ten minutes, and all since the service started.")), this.live),
      this.trouble,
      this.tiles,
      h("div", { class: "charts" }, this.charts.map(({ element }) => element)),
      h("section", { class: "card", "aria-label": "By model and label" }, h("h2", {}, "By model and label"),
        h("p", { class: "muted" }, "Of the last decisions."),
        h("div", { class: "table", tabindex: 0, role: "region", "aria-label": "By model and label" },
          h("table", {}, h("thead", {}, h("tr", {}, ["Model", "Label", "Requests", "Cached", "First token", "Tokens", "Cost", "Saved"].map((name) => h("th", { scope: "col" }, name)))), this.models))),
      this.partitions.element,
      this.table.element,
    );
    document.addEventListener("visibilitychange", () => this.#left && (document.hidden ? clearTimeout(this.#timer) : this.#tick()));
    document.addEventListener("sluice:theme", () => this.#left && this.#drawCharts());
    document.addEventListener("sluice:key", () => this.#left && this.#tick());
  }

  open() {
    this.#left = new AbortController();
    this.#tick();
  }

  close() {
    clearTimeout(this.#timer);
    this.#left?.abort();
    this.#left = null;
  }

  async #tick() {
    clearTimeout(this.#timer);
    const left = this.#left;
    try {
      const [metrics, decisions, partitions] = await Promise.all([this.#readMetrics(left.signal), this.#readDecisions(left.signal), this.#readPartitions(left.signal)]);
      if (left.signal.aborted) return;
      this.#show(metrics, decisions);
      this.partitions.show(partitions, metrics.held);
      this.trouble.replaceChildren();
      this.live.classList.remove("off");
    } catch (error) {
      if (error.name === "AbortError") return;
      this.trouble.replaceChildren(failure(error, () => this.#tick()));
      this.live.classList.add("off");
    }
    if (!left.signal.aborted && !document.hidden) this.#timer = setTimeout(() => this.#tick(), EVERY);
  }

  async #readMetrics(signal) {
    return read(parseMetrics(await (await send("metrics", { signal })).text()));
  }

  async #readDecisions(signal) {
    return (await this.#readAllowed(`decisions?limit=${DECISIONS}`, signal))?.decisions ?? null;
  }

  async #readPartitions(signal) {
    return (await this.#readAllowed("cache", signal))?.partitions ?? null;
  }

  /** What there is; null for a key that may not see it. */
  async #readAllowed(path, signal) {
    try {
      return await getJSON(path, { signal, quiet: true });
    } catch (error) {
      if ([401, 403, 404].includes(error.status)) return null;
      throw error;
    }
  }

  #show(metrics, decisions) {
    this.#series.backfill(decisions ?? []);
    this.#series.take(metrics, Date.now() / 1000);
    this.tiles.replaceChildren(...tiles(metrics).map(drawTile));
    this.#drawCharts();
    this.table.element.hidden = decisions === null;
    this.models.closest("section").hidden = decisions === null;
    this.table.show(decisions ?? []);
    this.models.replaceChildren(...byModel(decisions ?? []).map(drawModel));
  }

  #drawCharts() {
    const points = this.#series.points(Date.now() / 1000);
    for (const chart of this.charts) chart.draw(points);
  }
}


const hitRate = ({ cache }) => (cache.hit || cache.miss ? (cache.hit ?? 0) / ((cache.hit ?? 0) + (cache.miss ?? 0)) : null);
const percent = (value) => `${Math.round(value * 100)} %`;

const CHARTS = [
  { title: "Requests by label", format: short, lines: (points) => linesOf(points, "requests") },
  {
    title: "Time to first token",
    format: seconds,
    filled: false,
    lines: (points) => [
      { name: "median", colour: "--accent", values: points.map(({ p50 }) => p50) },
      { name: "95th percentile", colour: "--violet", values: points.map(({ p95 }) => p95) },
    ],
  },
  { title: "Tokens by model", format: short, lines: (points) => linesOf(points, "tokens") },
  { title: "Cost by model", format: dollars, lines: (points) => linesOf(points, "cost") },
  {
    title: "Cache hit rate",
    format: percent,
    lines: (points) => [{ name: "hits", colour: "--blue", values: points.map(hitRate) }],
  },
  { title: "Errors by code", format: short, lines: (points) => linesOf(points, "outcomes").map((line, index) => ({ ...line, name: words(line.name), colour: index ? line.colour : "--red" })) },
];

const sum = (sums) => Object.values(sums).reduce((all, value) => all + value, 0);

/** The figures at the top, as `[title, value, note, is it a warning]`. */
function tiles(metrics) {
  const requests = sum(metrics.requests);
  const looked = (metrics.cache.hit ?? 0) + (metrics.cache.miss ?? 0);
  const errors = sum(metrics.outcomes);
  return [
    ["Requests", count(requests), `${metrics.inFlight} in flight`],
    ["Tokens", short(sum(metrics.tokens)), plural(Object.keys(metrics.tokens).length, "model")],
    ["Cost", dollars(sum(metrics.cost)), `${dollars(metrics.saved)} saved by the cache`],
    ["Cache hits", looked ? percent((metrics.cache.hit ?? 0) / looked) : "–", `${count(metrics.cache.hit ?? 0)} of ${count(looked)}`],
    ["Errors", count(errors), requests ? `${((errors / requests) * 100).toFixed(1)} % of requests` : "none", errors > 0],
    ["Breakers", metrics.breakers.length ? `${metrics.breakers.length} open` : "closed", metrics.breakers.join(", ") || "every model is tried", metrics.breakers.length > 0],
    ["Egress denials", count(metrics.denials), metrics.denials ? "the gate stopped a bug" : "as it should be", metrics.denials > 0],
  ];
}

function drawTile([title, value, note, isWarning]) {
  return h("div", { class: isWarning ? "tile warn" : "tile" }, h("span", {}, title), h("strong", {}, value), h("small", {}, note));
}

/** The decisions by model and label, the most frequent first. */
function byModel(decisions) {
  const rows = new Map();
  for (const each of decisions.filter(({ model }) => model)) {
    const name = `${each.model}\n${each.label}`;
    const row = rows.get(name) ?? { model: each.model, locality: each.locality, label: each.label, requests: 0, cached: 0, tokens: 0, cost: 0, saved: 0, waits: [] };
    row.requests += 1;
    row.cached += each.cached ? 1 : 0;
    row.tokens += each.cached ? 0 : (each.prompt_tokens ?? 0) + (each.completion_tokens ?? 0);
    row.cost += each.cost ?? 0;
    row.saved += each.saved ?? 0;
    if (each.first_token_seconds !== null) row.waits.push(each.first_token_seconds);
    rows.set(name, row);
  }
  return [...rows.values()].sort((a, b) => b.requests - a.requests);
}

function drawModel({ model, locality, label, requests, cached, tokens, cost, saved, waits }) {
  waits.sort((a, b) => a - b);
  const median = waits.length ? waits[Math.floor((waits.length - 1) / 2)] : null;
  return h("tr", {},
    h("td", { class: "model" }, locality && icon(locality === "local" ? "home" : "cloud", 14), model),
    h("td", {}, label),
    [count(requests), count(cached), seconds(median), count(tokens), dollars(cost), dollars(saved)].map((value) => h("td", { class: "number" }, value)));
}
