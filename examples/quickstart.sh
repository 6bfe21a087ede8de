#!/usr/bin/env bash
# Documents in, a search, an answer and a stream, against a service that runs: make run, then this.
set -euo pipefail

url=${SLUICE_URL:-http://127.0.0.1:8000}
documents=$(dirname "$0")/documents
key=${SLUICE_KEY:+"Authorization: Bearer $SLUICE_KEY"}

call() { curl --silent --show-error --fail-with-body --no-buffer ${key:+--header "$key"} "$@"; }
say() { printf '\n== %s\n' "$*"; }
show() { python3 -c "$(printf 'import json, sys\nanswer = json.load(sys.stdin)\n%s' "$1")"; }

call "$url/ready" >/dev/null || { echo "Nothing answers at $url: start it with make run, or set SLUICE_URL." >&2; exit 1; }

say "Documents in: two PDF files and 24 paragraphs"
call "$url/documents?wait=true" -F files=@"$documents/accident_report.pdf" -F files=@"$documents/memo.pdf" |
  show 'for d in answer["documents"]: print(d["status"], d["chunks"], "chunks", d["sensitivity"], d["title"])'
call "$url/documents?wait=true" -H 'content-type: application/json' --data-binary @"$documents/paragraphs.json" |
  show 'print(sum(d["status"] == "indexed" for d in answer["documents"]), "paragraphs indexed")'

say "Search: why did the airplane crash"
call "$url/search" -H 'content-type: application/json' -d '{"query": "why did the airplane crash", "limit": 3}' |
  show 'for d in answer["documents"]: print(round(d["score"], 3), d["metadata"]["title"], "|", " ".join(d["content"].split())[:90])'

say "Chat: How many blankets were delivered?"
call "$url/chat" -H 'content-type: application/json' -d '{"message": "How many blankets were delivered?"}' |
  show 'print(answer["message"]); print("--", answer["model_used"], answer["sensitivity"], [c["title"] for c in answer["citations"]])'

say "Stream: How many career sacks did Jared Allen have?"
call "$url/chat/stream" -H 'content-type: application/json' -d '{"message": "How many career sacks did Jared Allen have?"}' |
  sed -n 's/^data: //p' | cut -c1-118

say "Route: where would this go?"
call "$url/route" -H 'content-type: application/json' \
  -d '{"message": "Write to jane.roe@corp-mail.net that her card 5555 5555 5555 4444 was declined."}' |
  show 'print(answer["sensitivity"], answer["model"], [(f["detector"], f["where"]) for f in answer["route"]["raised_by"]])'
