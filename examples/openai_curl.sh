#!/usr/bin/env bash
# OpenAI's API with nothing but curl, against a service that runs: make run, then this.
set -euo pipefail

url=${SLUICE_URL:-http://127.0.0.1:8000}/v1
key=${SLUICE_KEY:-unused}

call() {
  curl --silent --show-error --fail-with-body --no-buffer \
    --header "Authorization: Bearer $key" --header 'Content-Type: application/json' "$@"
  echo
}

echo "== An answer"
call "$url/chat/completions" --data \
  '{"model": "auto", "messages": [{"role": "user", "content": "What is the capital of France?"}]}'

echo "== A stream from the documents that were put in, with its usage"
call "$url/chat/completions" --data \
  '{"model": "documents", "messages": [{"role": "user", "content": "How many blankets were delivered?"}],
    "stream": true, "stream_options": {"include_usage": true}}'

echo "== A request that says how sensitive it is, in a header; with cloud models alone there is none that may have it"
call "$url/chat/completions" --header 'x-sluice-sensitivity: confidential' --data \
  '{"model": "auto", "messages": [{"role": "user", "content": "Summarise the merger plan."}]}' || true

echo "== Embeddings"
call "$url/embeddings" --data '{"model": "auto", "input": "A cat sits on the mat.", "encoding_format": "base64"}'
