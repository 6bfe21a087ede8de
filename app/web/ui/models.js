// The models there are, read once for a key and shared by the views.

import { getJSON } from "./api.js";

let reading = null;
document.addEventListener("sluice:key", () => {
  reading = null;
});

/** The catalog, a list of models; an empty one if it cannot be read. */
export function listModels({ fresh = false } = {}) {
  if (fresh) reading = null;
  reading ??= getJSON("models", { quiet: true })
    .then(({ models }) => models)
    .catch(() => {
      reading = null;
      return [];
    });
  return reading;
}

/** Options for choosing a model, those that can be called first. */
export function modelOptions(models) {
  const able = models.filter((model) => model.available);
  return [["", "Model: automatic"], ...able.map((model) => [model.id, model.id])];
}
