// What the cache did for each tenant and label, as the process tells it that answers.

import { h } from "../dom.js";
import { bytes, count, dollars, seconds } from "../format.js";

const COLUMNS = ["Tenant", "Label", "Asked", "Hits", "Hit rate", "Written", "Saved", "Time saved"];

export class PartitionTable {
  constructor() {
    this.body = h("tbody");
    this.note = h("p", { class: "muted" });
    this.element = h("section", { class: "card", "aria-label": "Cache" }, h("h2", {}, "Cache"), this.note,
      h("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Cache by tenant and label" },
        h("table", {}, h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col" }, name)))), this.body)));
  }

  /** `partitions` as in `GET /cache`, null for a key that may not see them; `held` is in bytes, over all processes. */
  show(partitions, held) {
    this.element.hidden = partitions === null || partitions.length === 0;
    this.note.textContent = `By tenant and label, since the process began that answered. ${bytes(held)} are held in memory.`;
    this.body.replaceChildren(...[...(partitions ?? [])].sort((a, b) => b.lookups - a.lookups).map(draw));
  }
}

function draw(each) {
  const hits = each.exact_hits + each.semantic_hits + each.shared_calls;
  const figures = [count(each.lookups), count(hits), `${Math.round(each.hit_rate * 100)} %`, bytes(each.kept_bytes), dollars(each.saved_usd), seconds(each.saved_seconds)];
  return h("tr", {}, h("td", {}, each.tenant ?? "others"), h("td", {}, each.label), figures.map((value) => h("td", { class: "number" }, value)));
}
