// The charts, drawn by uPlot (vendored), in the colours of the page.

import { h } from "../dom.js";

const HEIGHT = 160;
const LABEL_COLOURS = { public: "--green", internal: "--amber", confidential: "--red", unknown: "--muted" };
const COLOURS = ["--accent", "--violet", "--amber", "--blue", "--red", "--green"];

/** One chart with its title; `lines(points)` gives its lines as `{ name, colour, values }`. */
export class Chart {
  #plot = null;
  #shape = "";

  constructor({ title, lines, format, filled = true }) {
    Object.assign(this, { title, lines, format, filled });
    this.box = h("div", { class: "chart-box", role: "img", "aria-label": title });
    this.legend = h("div", { class: "legend" });
    this.element = h("figure", { class: "card chart" }, h("figcaption", {}, h("h3", {}, title), this.legend), this.box);
    new ResizeObserver(() => this.#plot?.setSize({ width: this.box.clientWidth, height: HEIGHT })).observe(this.box);
  }

  draw(points) {
    const lines = this.lines(points);
    const data = [points.map(({ at }) => at), ...lines.map(({ values }) => values)];
    const shape = lines.map(({ name }) => name).join("\n") + document.documentElement.dataset.theme;
    if (shape === this.#shape && this.#plot) {
      this.#plot.setData(data);
    } else {
      this.#plot?.destroy();
      this.#plot = new window.uPlot(this.#options(lines), data, this.box);
      this.#shape = shape;
    }
    this.legend.replaceChildren(...lines.map(({ name, colour, total }) =>
      h("span", {}, swatch(colour), name, total !== undefined && h("b", {}, ` ${this.format(total)}`))));
    this.box.setAttribute("aria-label", `${this.title}: ${lines.map(({ name, total }) => `${name} ${total === undefined ? "" : this.format(total)}`).join(", ") || "nothing yet"}`);
  }

  #options(lines) {
    const axis = { stroke: colourOf("--muted"), grid: { stroke: colourOf("--line"), width: 1 }, ticks: { show: false }, font: "11px Inter, system-ui, sans-serif" };
    return {
      width: this.box.clientWidth || 320,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, points: { size: 6 } },
      scales: { y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.15 : 1] } },
      axes: [
        { ...axis, size: 30, space: 90, values: (_plot, times) => times.map((at) => new Date(at * 1000).toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false })) },
        { ...axis, size: 52, values: (_plot, values) => values.map((value) => this.format(value)) },
      ],
      series: [{}, ...lines.map(({ name, colour }) => ({
        label: name,
        stroke: colourOf(colour),
        fill: this.filled ? `color-mix(in srgb, ${colourOf(colour)} 14%, transparent)` : undefined,
        width: 1.8,
        spanGaps: true,
        points: { show: false },
      }))],
    };
  }
}

function swatch(colour) {
  const element = h("i");
  element.style.background = `var(${colour})`;
  return element;
}

/** The colour as a canvas takes it: variables and `light-dark()` are worked out by the page. */
function colourOf(name) {
  const probe = h("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** The lines of a kind of sums, one for each key, the largest first. */
export function linesOf(points, kind, { most = 5 } = {}) {
  const totals = {};
  for (const point of points) for (const [key, value] of Object.entries(point[kind])) totals[key] = (totals[key] ?? 0) + value;
  return Object.entries(totals)
    .sort(([, a], [, b]) => b - a)
    .slice(0, most)
    .map(([name, total], index) => ({
      name,
      total,
      colour: LABEL_COLOURS[name] ?? COLOURS[index % COLOURS.length],
      values: points.map((point) => point[kind][name] ?? 0),
    }));
}
