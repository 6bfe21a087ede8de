// Under an answer: who gave it, where, under which label and why, what it took.

import { h } from "../dom.js";
import { dollars, plural, seconds, words } from "../format.js";
import { dropReason, findings, labelBadge, localityBadge } from "../labels.js";

const CANDIDATES_AT_ONCE = 8;
const HISTORY = { whole: "sent as a whole", summary: "what is further back was summed up", trimmed: "what is further back was left out" };

/** The line of facts, and the whole story behind it. */
export function explanation(turn, models) {
  const facts = [turn.model && h("span", { class: "fact model" }, turn.model), localityBadge(localityOf(turn.model, models))];
  const label = turn.route?.label ?? turn.sensitivity;
  if (label) facts.push(labelBadge(label));
  if (turn.cached) facts.push(h("span", { class: "badge cached" }, "cached"));
  if (turn.usage) facts.push(h("span", { class: "fact" }, dollars(turn.cost)));
  if (turn.seconds !== undefined) facts.push(h("span", { class: "fact" }, seconds(turn.seconds)));
  if (turn.usage) facts.push(h("span", { class: "fact" }, tokens(turn.usage)));
  const line = h("div", { class: "facts" }, facts);
  if (!turn.route) return line;
  return h("details", { class: "why" }, h("summary", { title: "Why this answer came from here" }, line), story(turn));
}

export function localityOf(model, models) {
  return models.find((each) => each.id === model)?.locality ?? null;
}

function tokens({ total_tokens: total, estimated }) {
  return `${estimated ? "about " : ""}${plural(total, "token")}`;
}

function story({ route, usage, firstToken, finishReason }) {
  const rows = [
    ["Label", [labelBadge(route.label), findings(route.raised_by)]],
    ["Rule", words(route.rule)],
    ["Cache", words(route.cache)],
    ["Candidates", candidateList(route.candidates)],
  ];
  if (route.attempts.length > 1) rows.push(["Attempts", route.attempts.map(attempt)]);
  if (usage) rows.push(["Tokens", `${usage.prompt_tokens} in, ${usage.completion_tokens} out`]);
  if (firstToken !== undefined) rows.push(["First token", seconds(firstToken)]);
  if (route.history && route.history !== "none") rows.push(["History", HISTORY[route.history] ?? words(route.history)]);
  if (finishReason && finishReason !== "stop") rows.push(["Ended by", words(finishReason)]);
  return h("dl", { class: "story" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

const attempt = ({ model, outcome }) => h("div", {}, model, h("span", { class: "muted" }, ` ${words(outcome)}`));

/** The models that were considered, in the order in which they would be tried. */
export function candidateList(candidates) {
  if (!candidates.length) return h("p", { class: "muted" }, "None: the answer was kept.");
  const rows = candidates.map(({ model, dropped }) =>
    h("li", { class: dropped && "dropped" }, h("span", {}, model), dropped && h("small", {}, dropReason(dropped))),
  );
  const list = h("ol", { class: "candidates" }, rows.slice(0, CANDIDATES_AT_ONCE));
  if (rows.length <= CANDIDATES_AT_ONCE) return list;
  const rest = h("ol", { class: "candidates", start: CANDIDATES_AT_ONCE + 1 }, rows.slice(CANDIDATES_AT_ONCE));
  return [list, h("details", {}, h("summary", {}, plural(rest.children.length, "more candidate")), rest)];
}
