// Keys and usage: who may ask, and what it has cost.

import { h } from "../dom.js";
import { KeyTable } from "./keys.js";
import { UsageTable } from "./usage.js";

export function accessView(section) {
  return new AccessView(section);
}

class AccessView {
  constructor(section) {
    this.parts = [new KeyTable(), new UsageTable()];
    this.isOpen = false;
    section.append(
      h("header", { class: "page-head" }, h("div", {}, h("h1", { id: "access-title" }, "Keys and usage"), h("p", {}, "Who may ask, up to which label, and what it has cost."))),
      ...this.parts.map((part) => part.element),
    );
    document.addEventListener("sluice:key", () => this.isOpen && this.open());
  }

  open() {
    this.isOpen = true;
    for (const part of this.parts) part.refresh();
  }

  close() {
    this.isOpen = false;
  }
}
