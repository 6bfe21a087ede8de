// Speaking to the service: one key, kept in memory alone, one shape of errors, event streams.

// This file is at static/ui/api.js below the service's root.
const ROOT = new URL("../../", import.meta.url);

let key = null;
let askForKey = async () => false;

export const signedIn = () => key !== null;

/** Use this key from now on; `null` forgets it. It is stored nowhere, so closing the page forgets it too. */
export function useKey(value) {
  key = value;
  document.dispatchEvent(new CustomEvent("sluice:key"));
}

/** `ask` resolves to whether there is a new key to try; it is called when the service wants one. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

/** A request that failed; `code` is the service's stable code, or `network` or `cut` where it could not say one. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = "network", retryAfter = null } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** Send a request; the response if it succeeded. Asks for a key, once, where one is needed. */
export async function send(path, options = {}) {
  const response = await attempt(path, options);
  if (response.status === 401 && !options.quiet && (await askForKey(key !== null))) {
    return checked(await attempt(path, options));
  }
  return checked(response);
}

export const getJSON = async (path, options = {}) => (await send(path, options)).json();

export async function postJSON(path, body, options = {}) {
  return (await send(path, { method: "POST", json: body, ...options })).json();
}

/** A path with its parameters; those that are empty are left out. */
export function withQuery(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** The path of something named by an id, which may hold any character. */
export const pathTo = (...parts) => parts.map((part) => encodeURIComponent(part)).join("/");

async function attempt(path, { method = "GET", json, body, signal, headers = {} }) {
  const sent = new Headers(headers);
  if (key) sent.set("authorization", `Bearer ${key}`);
  if (json !== undefined) sent.set("content-type", "application/json");
  try {
    return await fetch(new URL(path, ROOT), {
      method,
      signal,
      headers: sent,
      body: json === undefined ? body : JSON.stringify(json),
      credentials: "same-origin",
      // Of a question, this would ask the service not to answer from its own cache.
      cache: method === "GET" ? "no-store" : "default",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The service does not answer.");
  }
}

async function checked(response) {
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const { message = `The service answered with status ${response.status}.`, code = "unknown" } = body.error ?? {};
  const retryAfter = Number(response.headers.get("retry-after")) || null;
  throw new ApiError(message, { status: response.status, code, retryAfter });
}

/** The JSON events of a server-sent event stream up to `[DONE]`; one that ends before it throws. */
export async function* events(response) {
  for await (const data of dataOf(response.body)) {
    if (data === "[DONE]") return;
    const event = JSON.parse(data);
    if (event.error) throw new ApiError(event.error.message, { status: 200, code: event.error.code });
    yield event;
  }
  throw new ApiError("The answer broke off before its end.", { code: "cut" });
}

async function* dataOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  try {
    for (;;) {
      const { value, done } = await reader.read().catch((error) => {
        if (error.name === "AbortError") throw error;
        throw new ApiError("The connection broke off.", { code: "cut" });
      });
      if (done) return;
      buffer += value;
      const blocks = buffer.split("\n\n");
      buffer = blocks.pop();
      for (const block of blocks) if (block.startsWith("data: ")) yield block.slice(6);
    }
  } finally {
    reader.cancel().catch(() => {}); // already closed if the stream ended by itself
  }
}
