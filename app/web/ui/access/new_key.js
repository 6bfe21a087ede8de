// The dialog that makes a key.

import { postJSON } from "../api.js";
import { failure, openDialog } from "../dialogs.js";
import { button, field, h, select } from "../dom.js";
import { LABELS } from "../labels.js";

const text = (attributes) => h("input", { maxlength: 200, autocomplete: "off", ...attributes });
const whole = () => h("input", { type: "number", min: 1, placeholder: "no limit" });
const money = () => h("input", { type: "number", min: 0, step: "any", placeholder: "no limit" });

/** Ask what the key is to allow and make it; `onMade` is told the service's answer. */
export function askForNewKey(onMade) {
  const inputs = {
    name: text({ required: true }),
    tenant: text({ placeholder: "your own" }),
    owner: text(),
    clearance: select({ options: LABELS.toReversed().map((each) => [each, each]) }),
    label_floor: select({ options: LABELS.map((each) => [each, each]) }),
    requests_per_minute: whole(),
    tokens_per_minute: whole(),
    day: money(),
    month: money(),
    expires: h("input", { type: "date" }),
  };
  const trouble = h("div");
  const submit = async (event) => {
    event.preventDefault();
    try {
      const made = await postJSON("keys", bodyOf(inputs));
      dialog.close();
      onMade(made);
    } catch (error) {
      trouble.replaceChildren(failure(error));
    }
  };
  const form = h("form", { id: "new-key", class: "fields stacked", on: { submit } },
    field("Name", inputs.name),
    h("div", { class: "fields" }, field("Tenant", inputs.tenant, "Tenants see nothing of each other."), field("Owner", inputs.owner)),
    h("div", { class: "fields" }, field("Reads up to", inputs.clearance), field("Everything it sends is at least", inputs.label_floor)),
    h("div", { class: "fields" }, field("Requests per minute", inputs.requests_per_minute), field("Tokens per minute", inputs.tokens_per_minute)),
    h("div", { class: "fields" }, field("US dollars a day", inputs.day), field("US dollars a month", inputs.month)),
    field("Expires at the end of", inputs.expires, "A day in UTC; empty is never."));
  const dialog = openDialog({
    title: "New key",
    body: [form, trouble],
    actions: [button({ text: "Cancel" }, () => dialog.close()), h("button", { type: "submit", form: "new-key", class: "button primary" }, "Create")],
  });
  inputs.name.focus();
}

/** What was filled in; what was not keeps the service's own default. */
function bodyOf({ expires, day, month, ...inputs }) {
  const given = (fields) => Object.entries(fields).filter(([, input]) => input.value.trim() !== "");
  const valueOf = (input) => (input.type === "number" ? Number(input.value) : input.value.trim());
  const body = Object.fromEntries(given(inputs).map(([name, input]) => [name, valueOf(input)]));
  const budget = Object.fromEntries(given({ day, month }).map(([name, input]) => [name, Number(input.value)]));
  if (Object.keys(budget).length) body.budget = budget;
  if (expires.value) body.expires_at = `${expires.value}T23:59:59Z`;
  return body;
}
