// What comes up over the page: dialogs, questions, notices.

import { adviceFor } from "./advice.js";
import { button, field, h, icon } from "./dom.js";

/** Open a dialog and return it; it removes itself when it is closed. */
export function openDialog({ title, body, actions = [], wide = false, onClose = () => {} }) {
  const close = button({ label: "Close", iconName: "close" }, () => dialog.close());
  const dialog = h(
    "dialog",
    { class: wide ? "dialog wide" : "dialog", "aria-label": title },
    h("header", {}, h("h2", {}, title), close),
    h("div", { class: "dialog-body" }, body),
    actions.length > 0 && h("footer", {}, actions),
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    onClose(dialog.returnValue);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask before something that cannot be undone; resolves to whether it may happen. */
export function confirm({ title, text, action }) {
  return new Promise((resolve) => {
    const dialog = openDialog({
      title,
      body: h("p", {}, text),
      actions: [
        button({ text: "Cancel", autofocus: true }, () => dialog.close()),
        button({ text: action, kind: "danger" }, () => dialog.close("yes")),
      ],
      onClose: (value) => resolve(value === "yes"),
    });
  });
}

/** Ask for one line of text; resolves to it, or to null. */
export function ask({ title, label, value = "", action, type = "text", text = "" }) {
  return new Promise((resolve) => {
    const input = h("input", { type, value, required: true, maxlength: 1000, autocomplete: "off" });
    const form = h(
      "form",
      {
        id: "ask",
        on: {
          submit: (event) => {
            event.preventDefault();
            dialog.close("yes");
          },
        },
      },
      text && h("p", {}, text),
      field(label, input),
    );
    const dialog = openDialog({
      title,
      body: form,
      actions: [
        button({ text: "Cancel" }, () => dialog.close()),
        h("button", { type: "submit", form: "ask", class: "button primary" }, action),
      ],
      onClose: (answer) => resolve(answer === "yes" && input.value.trim() ? input.value.trim() : null),
    });
    input.focus();
    input.select();
  });
}

/** A short word at the edge of the page. */
export function notify(text, { kind = "info", lasts = 5000 } = {}) {
  const close = button({ label: "Dismiss", iconName: "close" }, () => notice.remove());
  const notice = h("div", { class: `notice ${kind}`, role: kind === "error" ? "alert" : "status" }, h("p", {}, text), close);
  document.getElementById("notices").append(notice);
  setTimeout(() => notice.remove(), lasts);
}

/** Say what went wrong and what to do; a request that was called off is nothing to report. */
export function report(error) {
  if (error.name === "AbortError") return;
  notify(`${error.message} ${adviceFor(error)}`, { kind: "error", lasts: 12_000 });
}

/** An error where its content would stand, with a way to try again. */
export function failure(error, retry) {
  return h(
    "div",
    { class: "failure", role: "alert" },
    icon("shield"),
    h("div", {}, h("strong", {}, error.message), h("p", {}, adviceFor(error))),
    retry && button({ text: "Try again", iconName: "again", kind: "outline" }, retry),
  );
}

/** What stands where there is nothing yet. */
export function emptiness({ iconName, title, text, action = null }) {
  return h("div", { class: "empty" }, icon(iconName, 32), h("h3", {}, title), h("p", {}, text), action);
}

/** Grey lines where something is about to stand. */
export function skeleton(lines = 4) {
  return h("div", { class: "skeleton", "aria-hidden": "true" }, Array.from({ length: lines }, () => h("span")));
}
