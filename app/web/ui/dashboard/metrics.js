// Prometheus' text format, as far as a dashboard needs it. Metrics that are not known here are left alone.
// https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** The samples of a page of metrics: a map from a name to a list of `{ labels, value }`. */
export function parseMetrics(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const match = line.startsWith("#") ? null : SAMPLE.exec(line);
    if (!match) continue;
    const [, name, written = "", value] = match;
    const labels = Object.fromEntries([...written.matchAll(LABEL)].map(([, key, text]) => [key, text.replace(/\\(.)/g, "$1")]));
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels, value: Number(value) });
  }
  return samples;
}

/** The sum of a metric over all samples whose labels satisfy `where`. */
export function total(samples, name, where = () => true) {
  return (samples.get(name) ?? []).filter(({ labels }) => where(labels)).reduce((sum, { value }) => sum + value, 0);
}

/** The sums of a metric by one of its labels, as an object. */
export function by(samples, name, label, where = () => true) {
  const sums = {};
  for (const { labels, value } of samples.get(name) ?? []) {
    if (!where(labels) || labels[label] === undefined) continue;
    sums[labels[label]] = (sums[labels[label]] ?? 0) + value;
  }
  return sums;
}

/** The counts of a histogram's buckets by their upper bounds, cumulative as they are written. */
export function buckets(samples, name) {
  const counts = {};
  for (const { labels, value } of samples.get(`${name}_bucket`) ?? []) {
    counts[labels.le] = (counts[labels.le] ?? 0) + value;
  }
  return counts;
}

/**
 * The quantile of what was observed between two readings of a histogram, interpolated within its bucket as
 * Prometheus' `histogram_quantile` does; null where nothing was.
 */
export function quantile(q, before, after) {
  const bounds = Object.keys(after).map((bound) => [bound === "+Inf" ? Infinity : Number(bound), after[bound] - (before[bound] ?? 0)]);
  bounds.sort(([a], [b]) => a - b);
  const all = bounds.at(-1)?.[1] ?? 0;
  if (all <= 0) return null;
  const rank = q * all;
  let [low, seen] = [0, 0];
  for (const [bound, count] of bounds) {
    if (count >= rank) return bound === Infinity ? low : low + (bound - low) * ((rank - seen) / (count - seen));
    [low, seen] = [bound, count];
  }
  return low;
}
