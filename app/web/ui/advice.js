// Errors in words: what went wrong, and what one can do about it.

const ADVICE = {
  network: "Check that the service is running, then try again.",
  cut: "What arrived is kept. Try again to get the whole.",
  invalid_api_key: "Sign in with a key that is valid here.",
  insufficient_scope: "Sign in with a key that may do this, such as the admin key.",
  permission_denied: "Sign in with a key that may do this, such as the admin key.",
  rate_limit_exceeded: "Wait a moment, then try again.",
  no_cleared_model: "Start a local model (Ollama), or see under Routing why each model was dropped.",
  no_capable_model: "Leave out the picture, shorten the prompt, or choose another model.",
  model_not_found: "Choose a model from the list, or leave it at automatic.",
  context_length_exceeded: "Start a new conversation or shorten the message.",
  content_filter: "Word it differently, or choose another model.",
  payload_too_large: "Send something smaller: messages to 32 MB, files to 100 MB.",
  unsupported_media_type: "Save it as PDF, Word, text, Markdown, HTML or another common format.",
  empty_document: "Choose a file that has some content.",
  upstream_authentication: "The key that the gateway has for this provider is wrong: the operator can mend it.",
  upstream_quota_exceeded: "The operator's account with this provider is used up. Choose another model.",
  upstream_rate_limited: "Wait a moment, or choose another model.",
  upstream_unavailable: "The model's server is down. Try again, or choose another model.",
  upstream_timeout: "Try again, or choose a faster model.",
  model_busy: "Wait a moment, then try again.",
  foreign_origin: "Open the page by its loopback address, such as http://127.0.0.1:8000/ui.",
  database_unavailable: "Try again in a moment; if it lasts, the operator should look at /health.",
  vector_store_unavailable: "Try again in a moment; if it lasts, the operator should look at /health.",
  // How the ingestion of a document can end
  encrypted: "Remove the password and add the file again.",
  no_text_needs_ocr: "Run text recognition (OCR) on the file and add it again.",
  corrupt: "Open it and save it anew, then add it again.",
  unsupported: "Save it as PDF, Word, text, Markdown, HTML or another common format.",
  too_large: "Split the file and add its parts.",
  timeout: "Split the file and add its parts.",
  not_cleared: "Use an embedding model that is cleared for it, such as the built-in one.",
  internal: "Add it again; if it fails again, the operator should look at the log.",
};

/** What to do about an error, by its code. */
export function adviceFor(error) {
  const wait = error.retryAfter ? `Try again in ${error.retryAfter} s.` : "";
  return wait || ADVICE[error.code] || "Try again; if it lasts, look at the service's log.";
}
