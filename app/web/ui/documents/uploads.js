// Adding files: dropped or chosen, sent in batches so that thousands need few requests.

import { send } from "../api.js";
import { failure } from "../dialogs.js";
import { button, h, icon } from "../dom.js";
import { bytes, plural } from "../format.js";

const FILES_AT_ONCE = 50;
const BYTES_AT_ONCE = 20_000_000;

export class Uploads {
  #sending = Promise.resolve();

  /** `fields()` gives the form's other fields; `onAccepted(documents)` is called for each batch. */
  constructor({ fields, onAccepted }) {
    this.fields = fields;
    this.onAccepted = onAccepted;
    this.status = h("div", { class: "upload-status", "aria-live": "polite" });
    this.troubles = h("div");
    const pick = h("input", { type: "file", multiple: true, hidden: true, "aria-label": "Files" });
    pick.addEventListener("change", () => {
      this.#add([...pick.files]);
      pick.value = "";
    });
    this.zone = h("div", { class: "drop-zone" },
      icon("upload", 26),
      h("p", {}, h("strong", {}, "Drop files here"), " or "),
      button({ text: "Choose files", kind: "outline" }, () => pick.click()),
      pick);
    this.element = h("div", {}, this.zone, this.status, this.troubles);
    this.#listen();
  }

  #listen() {
    const over = (isOver) => (event) => {
      event.preventDefault();
      this.zone.classList.toggle("over", isOver);
    };
    this.zone.addEventListener("dragenter", over(true));
    this.zone.addEventListener("dragover", over(true));
    this.zone.addEventListener("dragleave", over(false));
    this.zone.addEventListener("drop", (event) => {
      over(false)(event);
      this.#add([...event.dataTransfer.files]);
    });
  }

  #add(files) {
    this.#sending = this.#sending.then(() => this.#send(files));
  }

  async #send(files) {
    this.troubles.replaceChildren();
    const batches = inBatches(files);
    let sent = 0;
    for (const batch of batches) {
      const size = bytes(batch.reduce((sum, file) => sum + file.size, 0));
      this.status.textContent = `Sending ${sent + 1} to ${sent + batch.length} of ${plural(files.length, "file")} (${size})`;
      await this.#sendBatch(batch);
      sent += batch.length;
    }
    this.status.textContent = "";
  }

  /** One request. If the service refuses the batch, each file is sent alone: the others are not to blame. */
  async #sendBatch(batch) {
    const fields = this.fields();
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) if (value) form.append(name, value);
    for (const file of batch) form.append("files", file);
    try {
      const response = await send("documents", { method: "POST", body: form });
      this.onAccepted((await response.json()).documents);
    } catch (error) {
      if (batch.length > 1 && error.status >= 400 && error.status < 500 && ![401, 403, 429].includes(error.status)) {
        for (const file of batch) await this.#sendBatch([file]);
      } else {
        const again = () => {
          trouble.remove();
          this.#add(batch);
        };
        const name = batch.length === 1 ? batch[0].name : plural(batch.length, "file");
        const trouble = failure(Object.assign(error, { message: `${name}: ${error.message}` }), again);
        this.troubles.append(trouble);
      }
    }
  }
}

function inBatches(files) {
  const batches = [];
  let size = Infinity;
  for (const file of files) {
    if (size + file.size > BYTES_AT_ONCE || batches.at(-1).length >= FILES_AT_ONCE) {
      batches.push([]);
      size = 0;
    }
    batches.at(-1).push(file);
    size += file.size;
  }
  return batches;
}
