// Where one writes: text, pictures, and what the request asks for.

import { notify } from "../dialogs.js";
import { button, h, icon, select } from "../dom.js";
import { LABEL_OPTIONS } from "../labels.js";
import { listModels, modelOptions } from "../models.js";

const KINDS = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const LARGEST_SIDE = 2048; // pixels; what is larger is made smaller before it is sent
const MOST_IMAGES = 8;

export class Composer {
  #images = [];

  /** `onSend(content)` and `onStop()`; `content` is `{ text, images }`, images as data URLs. */
  constructor({ form, onSend, onStop }) {
    this.form = form;
    this.onSend = onSend;
    this.onStop = onStop;
    this.input = form.querySelector("textarea");
    this.attachments = form.querySelector("#attachments");
    this.#drawTools(form.querySelector("#composer-tools"));
    this.#listen();
    this.setBusy(false);
  }

  /** What the tools say, as fields of a request. */
  get options() {
    const options = { documents: this.documents.checked };
    if (this.label.value) options.sensitivity = this.label.value;
    if (this.model.value) options.model = this.model.value;
    return options;
  }

  setBusy(busy) {
    this.busy = busy;
    this.stop.hidden = !busy;
    this.submit.hidden = busy;
  }

  #drawTools(tools) {
    const pick = h("input", { type: "file", accept: KINDS.join(), multiple: true, hidden: true, "aria-label": "Pictures" });
    pick.addEventListener("change", () => {
      this.#attach([...pick.files]);
      pick.value = "";
    });
    this.documents = h("input", { type: "checkbox", checked: true });
    this.label = select({ options: LABEL_OPTIONS, "aria-label": "Label of the message" });
    this.model = select({ options: [["", "Model: automatic"]], "aria-label": "Model" });
    this.stop = button({ label: "Stop", iconName: "stop", class: "button send" }, () => this.onStop());
    this.submit = h("button", { type: "submit", class: "button primary send", "aria-label": "Send", title: "Send (Enter)" }, icon("send"));
    tools.append(
      button({ label: "Attach a picture", iconName: "image" }, () => pick.click()),
      pick,
      h("label", { class: "toggle", title: "Answer from the documents where they bear on it" }, this.documents, icon("book", 16), h("span", {}, "Documents")),
      this.label,
      this.model,
      h("span", { class: "space" }),
      this.stop,
      this.submit,
    );
  }

  /** Offer the models there are, keeping the choice. */
  async refreshModels() {
    const chosen = this.model.value;
    const options = modelOptions(await listModels());
    this.model.replaceChildren(...options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  }

  #listen() {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    this.input.addEventListener("input", () => this.#grow());
    this.input.addEventListener("paste", (event) => {
      const files = [...event.clipboardData.files].filter((file) => KINDS.includes(file.type));
      if (!files.length) return;
      event.preventDefault();
      this.#attach(files);
    });
    this.form.addEventListener("dragover", (event) => event.preventDefault());
    this.form.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#attach([...event.dataTransfer.files]);
    });
  }

  #send() {
    const text = this.input.value.trim();
    if (this.busy || (!text && !this.#images.length)) return;
    const images = this.#images;
    this.#images = [];
    this.input.value = "";
    this.#drawAttachments();
    this.#grow();
    this.onSend({ text, images });
  }

  #grow() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight, innerHeight * 0.4)}px`;
  }

  async #attach(files) {
    const pictures = files.filter((file) => KINDS.includes(file.type));
    if (pictures.length < files.length) notify("Only PNG, JPEG, GIF and WebP pictures go here. Add documents under Documents.");
    for (const file of pictures.slice(0, MOST_IMAGES - this.#images.length)) {
      try {
        this.#images.push(await toDataURL(file));
      } catch {
        notify("This picture cannot be read.", { kind: "error" });
      }
    }
    this.#drawAttachments();
  }

  #drawAttachments() {
    this.attachments.hidden = !this.#images.length;
    this.attachments.replaceChildren(
      ...this.#images.map((url, index) =>
        h(
          "div",
          { class: "attachment" },
          h("img", { src: url, alt: `Picture ${index + 1} to send` }),
          button({ label: `Remove picture ${index + 1}`, iconName: "close" }, () => {
            this.#images.splice(index, 1);
            this.#drawAttachments();
            this.input.focus();
          }),
        ),
      ),
    );
  }
}

/** The picture as a data URL; a large one is drawn smaller. */
async function toDataURL(file) {
  const bitmap = await createImageBitmap(file);
  const scale = LARGEST_SIDE / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return readAsDataURL(file);
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.85);
}

function readAsDataURL(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
