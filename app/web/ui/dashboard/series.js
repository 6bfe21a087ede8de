// What the charts show: for each stretch of time how much was added, from readings of counters and, for the time
// before the first reading, from the last decisions.

import { buckets, by, quantile, total } from "./metrics.js";

const STEP = 5; // seconds to a point
const POINTS = 120;

const FIRST_TOKEN = "gen_ai_server_time_to_first_token_seconds";

/** What one reading of the metrics says, in the terms of the charts. */
export function read(samples) {
  return {
    requests: by(samples, "sluice_requests_total", "label"),
    outcomes: by(samples, "sluice_requests_total", "outcome", ({ outcome }) => outcome !== "ok" && outcome !== "cancelled"),
    tokens: by(samples, "sluice_tokens_total", "model"),
    cost: by(samples, "sluice_cost_usd_total", "model"),
    cache: by(samples, "sluice_requests_total", "cache"),
    breakers: (samples.get("sluice_breaker_open") ?? []).filter(({ value }) => value > 0).map(({ labels }) => labels.model),
    saved: total(samples, "sluice_cache_saved_usd_total"),
    held: total(samples, "sluice_cache_held_bytes"),
    denials: total(samples, "sluice_egress_denials_total"),
    inFlight: total(samples, "sluice_requests_in_flight"),
    firstToken: buckets(samples, FIRST_TOKEN),
  };
}

const KINDS = ["requests", "outcomes", "tokens", "cost", "cache"];

export class Series {
  #points = new Map();
  #last = null;

  /** Fill the time before the first reading from decisions, newest first. */
  backfill(decisions) {
    if (this.#last) return;
    const waits = new Map();
    for (const each of decisions) {
      const at = Math.floor(new Date(each.time).getTime() / 1000 / STEP) * STEP;
      const point = this.#point(at);
      add(point.requests, each.label ?? "unknown", 1);
      add(point.cache, each.cached ? "hit" : "miss", 1);
      if (each.outcome !== "ok" && each.outcome !== "cancelled") add(point.outcomes, each.outcome, 1);
      if (each.model && !each.cached) {
        add(point.tokens, each.model, (each.prompt_tokens ?? 0) + (each.completion_tokens ?? 0));
        add(point.cost, each.model, each.cost ?? 0);
      }
      if (each.first_token_seconds !== null) waits.set(at, [...(waits.get(at) ?? []), each.first_token_seconds]);
    }
    for (const [at, values] of waits) {
      values.sort((a, b) => a - b);
      this.#point(at).p50 = values[Math.floor((values.length - 1) * 0.5)];
      this.#point(at).p95 = values[Math.floor((values.length - 1) * 0.95)];
    }
  }

  /** Take in a reading; `now` is in seconds. A counter that fell has begun anew. */
  take(reading, now) {
    const before = this.#last;
    this.#last = reading;
    if (before === null) return;
    const point = this.#point(Math.floor(now / STEP) * STEP);
    for (const kind of KINDS) {
      for (const [key, value] of Object.entries(reading[kind])) {
        const grown = value - (before[kind][key] ?? 0);
        if (grown > 0) add(point[kind], key, grown);
      }
    }
    point.p50 = quantile(0.5, before.firstToken, reading.firstToken) ?? point.p50;
    point.p95 = quantile(0.95, before.firstToken, reading.firstToken) ?? point.p95;
  }

  /** The points up to `now`, oldest first, without gaps. */
  points(now) {
    const end = Math.floor(now / STEP) * STEP;
    const times = Array.from({ length: POINTS }, (_, index) => end - (POINTS - 1 - index) * STEP);
    for (const at of this.#points.keys()) if (at < times[0]) this.#points.delete(at);
    return times.map((at) => this.#points.get(at) ?? empty(at));
  }

  #point(at) {
    if (!this.#points.has(at)) this.#points.set(at, empty(at));
    return this.#points.get(at);
  }
}

const empty = (at) => ({ at, requests: {}, outcomes: {}, tokens: {}, cost: {}, cache: {}, p50: null, p95: null });

function add(sums, key, value) {
  sums[key] = (sums[key] ?? 0) + value;
}
