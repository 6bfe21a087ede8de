// Keys and usage, for those who administer the service.

import { getJSON, pathTo, postJSON, send, signedIn } from "./api.js";
import { confirm, emptiness, failure, openDialog, report, skeleton } from "./dialogs.js";
import { button, field, h, icon, select } from "./dom.js";
import { ago, count, date, dollars } from "./format.js";
import { LABELS, labelBadge } from "./labels.js";
import { copyButton } from "./markdown.js";

export function accessView(section) {
  return new AccessView(section);
}

class AccessView {
  constructor(section) {
    this.keys = h("div");
    this.usage = h("div");
    this.isOpen = false;
    section.append(
      h("header", { class: "page-head" }, h("div", {}, h("h1", { id: "access-title" }, "Keys and usage"), h("p", {}, "Who may ask, up to which label, and what it has cost."))),
      h("section", { class: "card", "aria-label": "Keys" }, this.keys),
      h("section", { class: "card", "aria-label": "Usage" }, this.usage),
    );
    document.addEventListener("sluice:key", () => this.isOpen && this.open());
  }

  open() {
    this.isOpen = true;
    if (signedIn()) this.#read("keys", this.keys, (body) => this.#drawKeys(body), NO_KEYS);
    else this.keys.replaceChildren(h("h2", {}, "Keys"), emptiness(ASK_FOR_KEY));
    this.#read("usage", this.usage, drawUsage, NO_USAGE);
  }

  close() {
    this.isOpen = false;
  }

  async #read(path, place, draw, none) {
    place.replaceChildren(skeleton(4));
    try {
      place.replaceChildren(...draw(await getJSON(path)));
    } catch (error) {
      place.replaceChildren([404, 405].includes(error.status) ? emptiness(none) : failure(error, () => this.open()));
    }
  }

  #drawKeys({ keys }) {
    const head = h("div", { class: "results-head" }, h("h2", {}, "Keys"), h("span", { class: "space" }),
      button({ text: "New key", iconName: "plus", kind: "primary" }, () => this.#create()));
    if (!keys.length) return [head, emptiness({ iconName: "access", title: "No keys yet", text: "Make one for each application or person, so that each can be limited and revoked alone." })];
    const names = ["Name", "Tenant", "Reads up to", "Made", "Expires", ""];
    const rows = keys.map((key) =>
      h("tr", { class: key.revoked_at && "revoked" },
        h("td", {}, h("strong", {}, key.name), h("small", { class: "muted" }, ` ${key.prefix ?? key.id}`)),
        h("td", {}, key.tenant ?? "default"),
        h("td", {}, key.clearance ? labelBadge(key.clearance) : "–"),
        h("td", {}, key.created_at ? ago(key.created_at) : "–"),
        h("td", {}, key.revoked_at ? "revoked" : key.expires_at ? date(key.expires_at) : "never"),
        h("td", {}, !key.revoked_at && button({ label: `Revoke ${key.name}`, iconName: "trash" }, () => this.#revoke(key)))));
    return [head, table("Keys", names, rows)];
  }

  #create() {
    const name = h("input", { required: true, maxlength: 200, autocomplete: "off" });
    const tenant = h("input", { placeholder: "default", maxlength: 200, autocomplete: "off" });
    const clearance = select({ options: LABELS.toReversed().map((each) => [each, each]) });
    const floor = select({ options: LABELS.map((each) => [each, each]) });
    const limit = h("input", { type: "number", min: 1, placeholder: "no limit" });
    const form = h("form", { id: "new-key", class: "fields stacked", on: { submit: async (event) => {
      event.preventDefault();
      const body = { name: name.value.trim(), clearance: clearance.value };
      if (tenant.value.trim()) body.tenant = tenant.value.trim();
      if (floor.value !== "public") body.label_floor = floor.value;
      if (limit.value) body.requests_per_minute = Number(limit.value);
      try {
        const made = await postJSON("keys", body);
        dialog.close();
        showSecret(made);
        this.open();
      } catch (error) {
        trouble.replaceChildren(failure(error));
      }
    } } },
      field("Name", name), field("Tenant", tenant, "Tenants see nothing of each other."),
      field("Reads up to", clearance, "What it may be shown of documents and conversations."),
      field("Everything it sends is at least", floor), field("Requests per minute", limit));
    const trouble = h("div");
    const dialog = openDialog({
      title: "New key",
      body: [form, trouble],
      actions: [button({ text: "Cancel" }, () => dialog.close()), h("button", { type: "submit", form: "new-key", class: "button primary" }, "Create")],
    });
    name.focus();
  }

  async #revoke(key) {
    const text = `Whoever uses “${key.name}” is refused from now on.`;
    if (!(await confirm({ title: "Revoke the key?", text, action: "Revoke" }))) return;
    await send(`keys/${pathTo(key.id)}`, { method: "DELETE" }).then(() => this.open()).catch(report);
  }
}

function showSecret({ key }) {
  openDialog({
    title: "The new key",
    body: [h("p", {}, "Copy it now: it is shown once and cannot be read again."), h("div", { class: "secret" }, h("code", {}, key), copyButton(() => key, "Copy the key"))],
  });
}

/** Usage as rows of names and numbers, whatever the service groups by. */
function drawUsage(body) {
  const rows = body.usage ?? body.rows ?? body.data ?? [];
  const head = h("div", { class: "results-head" }, h("h2", {}, "Usage"), h("span", { class: "space" }), h("small", { class: "muted" }, icon("dashboard", 14), " all times in UTC"));
  if (!rows.length) return [head, emptiness({ iconName: "dashboard", title: "No usage yet", text: "Requests that were answered show here with their tokens and cost." })];
  const names = Object.keys(rows[0]);
  return [head, table("Usage", names.map((name) => name.replaceAll("_", " ")), rows.map((row) => h("tr", {}, names.map((name) => usageCell(name, row[name])))))];
}

function usageCell(name, value) {
  if (typeof value !== "number") return h("td", {}, String(value ?? "–"));
  return h("td", { class: "number" }, /cost|saved|spent/.test(name) ? dollars(value) : count(value));
}

const table = (title, names, rows) =>
  h("div", { class: "table", tabindex: 0, role: "region", "aria-label": title },
    h("table", {}, h("thead", {}, h("tr", {}, names.map((name) => (name ? h("th", { scope: "col" }, name) : h("td"))))), h("tbody", {}, rows)));

const ASK_FOR_KEY = { iconName: "access", title: "Sign in to manage keys", text: "Keys are made and revoked with the service's ADMIN_KEY, or with a key that may administer." };
const NO_KEYS = { iconName: "access", title: "Keys are not managed here", text: "This service knows no keys but the ADMIN_KEY of its settings." };
const NO_USAGE = { iconName: "dashboard", title: "Usage is not kept here", text: "The dashboard shows what has been used since the service started." };
