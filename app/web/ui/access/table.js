// A table that scrolls in its own frame.

import { h } from "../dom.js";

/** `names` head the columns, an empty one those of buttons; `rows` and `feet` are `<tr>` elements. */
export function table(title, { names, rows, feet = [] }) {
  const heads = names.map((name) => (name ? h("th", { scope: "col" }, name) : h("td")));
  return h("div", { class: "table", tabindex: 0, role: "region", "aria-label": title },
    h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows), feet.length > 0 && h("tfoot", {}, feet)));
}
