// The keys: what each allows; making, renewing and revoking them.

import { getJSON, pathTo, postJSON, send, signedIn } from "../api.js";
import { confirm, emptiness, failure, openDialog, report, skeleton } from "../dialogs.js";
import { button, h } from "../dom.js";
import { ago, date, dollars, short } from "../format.js";
import { labelBadge } from "../labels.js";
import { copyButton } from "../markdown.js";
import { askForNewKey } from "./new_key.js";
import { table } from "./table.js";

const NAMES = ["Name", "Tenant", "Reads up to", "Limits", "Budget", "Made", "Expires", ""];

export class KeyTable {
  constructor() {
    this.element = h("section", { class: "card", "aria-label": "Keys" });
  }

  async refresh() {
    if (!signedIn()) return this.element.replaceChildren(h("h2", {}, "Keys"), emptiness(ASK_FOR_KEY));
    this.element.replaceChildren(skeleton(4));
    try {
      const { keys } = await getJSON("keys");
      this.element.replaceChildren(this.#head(), keys.length ? table("Keys", { names: NAMES, rows: keys.map((key) => this.#row(key)) }) : emptiness(NO_KEYS));
    } catch (error) {
      this.element.replaceChildren(failure(error, () => this.refresh()));
    }
  }

  #head() {
    const create = () => askForNewKey((made) => { showSecret(made); this.refresh(); });
    return h("div", { class: "results-head" }, h("h2", {}, "Keys"), h("span", { class: "space" }), button({ text: "New key", iconName: "plus", kind: "primary" }, create));
  }

  #row(key) {
    return h("tr", { class: key.revoked_at && "revoked" },
      h("td", {}, h("strong", {}, key.name), h("small", { class: "muted" }, ` ${key.prefix}`)),
      h("td", {}, key.tenant, key.owner && h("small", { class: "muted" }, ` ${key.owner}`)),
      h("td", {}, labelBadge(key.clearance)),
      h("td", {}, limitsOf(key) || "none"),
      h("td", {}, budgetOf(key) || "none"),
      h("td", {}, ago(key.created_at)),
      h("td", {}, key.revoked_at ? "revoked" : key.expires_at ? date(key.expires_at) : "never"),
      h("td", {}, !key.revoked_at && [
        button({ label: `Renew the secret of ${key.name}`, iconName: "again" }, () => this.#rotate(key)),
        button({ label: `Revoke ${key.name}`, iconName: "trash" }, () => this.#revoke(key)),
      ]));
  }

  async #rotate(key) {
    const text = `“${key.name}” gets a new secret; the one it has now is refused from then on.`;
    if (!(await confirm({ title: "Renew the secret?", text, action: "Renew" }))) return;
    await postJSON(`keys/${pathTo(key.id)}/rotate`, {}).then(showSecret).catch(report);
  }

  async #revoke(key) {
    const text = `Whoever uses “${key.name}” is refused from now on.`;
    if (!(await confirm({ title: "Revoke the key?", text, action: "Revoke" }))) return;
    await send(`keys/${pathTo(key.id)}`, { method: "DELETE" }).then(() => this.refresh()).catch(report);
  }
}

function limitsOf(key) {
  return [
    key.requests_per_minute && `${short(key.requests_per_minute)} requests/min`,
    key.tokens_per_minute && `${short(key.tokens_per_minute)} tokens/min`,
    key.concurrent_streams && `${key.concurrent_streams} at once`,
  ].filter(Boolean).join(", ");
}

const budgetOf = ({ budget }) => ["day", "month"].filter((span) => budget[span] !== null).map((span) => `${dollars(budget[span])} a ${span}`).join(", ");

function showSecret({ key }) {
  openDialog({
    title: "The new key",
    body: [h("p", {}, "Copy it now: it is shown once and cannot be read again."), h("div", { class: "secret" }, h("code", {}, key), copyButton(() => key, "Copy the key"))],
  });
}

const ASK_FOR_KEY = { iconName: "access", title: "Sign in to manage keys", text: "Keys are made and revoked with the service's ADMIN_KEY, or with a key that may administer." };
const NO_KEYS = { iconName: "access", title: "No keys yet", text: "Make one for each application or person, so that each can be limited and revoked alone." };
