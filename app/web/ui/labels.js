// Labels, localities and what raised a label, as words and badges.

import { h, icon } from "./dom.js";
import { words } from "./format.js";

export const LABELS = ["public", "internal", "confidential"];

export const LABEL_OPTIONS = [
  ["", "Label: automatic"],
  ["public", "Public or higher"],
  ["internal", "Internal or higher"],
  ["confidential", "Confidential"],
];

export const labelBadge = (label) => h("span", { class: `badge label-${label}` }, label);

export function localityBadge(locality) {
  if (!locality) return null;
  return h("span", { class: `badge ${locality}` }, icon(locality === "local" ? "home" : "cloud", 14), locality);
}

const DROPS = {
  not_cleared: "not cleared for this label",
  unavailable: "not available now",
  context_length: "its context window is too short",
};

export const dropReason = (code) => DROPS[code] ?? words(code);

const PLACES = [
  [/^messages\[(\d+)\]/, (match) => (match[1] === "0" ? "in the prompt" : `in message ${Number(match[1]) + 1}`)],
  [/^passages\[(\d+)\]/, (match) => `passage ${Number(match[1]) + 1} of the documents`],
  [/^session/, () => "the conversation so far"],
  [/^sensitivity/, () => "with the request"],
  [/^key/, () => "by the key that is used"],
];

/** Where a finding was made, in words: `where` is a position, never text. */
export function place(where) {
  for (const [pattern, say] of PLACES) {
    const match = where.match(pattern);
    if (match) return say(match);
  }
  return where;
}

/** What raised a label, as a list. */
export function findings(raisedBy) {
  if (!raisedBy.length) return h("p", { class: "muted" }, "Nothing raised it.");
  return h(
    "ul",
    { class: "findings" },
    raisedBy.map(({ detector, where, count }) =>
      h("li", {}, h("strong", {}, words(detector)), count > 1 && ` × ${count}`, h("span", { class: "muted" }, ` ${place(where)}`)),
    ),
  );
}
