"""OpenAI's Python client against Sluice: one line differs, `base_url`. Needs `pip install openai`."""

from __future__ import annotations

import os

from openai import APIStatusError, OpenAI

client = OpenAI(
    base_url=os.environ.get("SLUICE_URL", "http://127.0.0.1:8000") + "/v1",
    api_key=os.environ.get("SLUICE_KEY", "unused"),
)

print("== Models")
print(", ".join(model.id for model in client.models.list()))

print("== An answer, and why it came from where it came from")
answer = client.chat.completions.create(
    model="auto", messages=[{"role": "user", "content": "What is the capital of France?"}]
)
explanation = answer.model_dump()["sluice"]
print(answer.choices[0].message.content)
print("--", answer.model, explanation["sensitivity"], explanation["route"]["rule"])

print("== A stream from the documents that were put in")
stream = client.chat.completions.create(
    model="documents", messages=[{"role": "user", "content": "How many blankets were delivered?"}], stream=True
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()

print("== A request that says how sensitive it is stays on local models")
try:
    confidential = client.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": "Summarise the merger plan in one sentence."}],
        extra_body={"sensitivity": "confidential"},
    )
    print("--", confidential.model)
except APIStatusError as error:  # with cloud models alone there is none that may have it
    print("--", error.code)

print("== Embeddings")
vectors = client.embeddings.create(model="auto", input=["A cat sits on the mat.", "A kitten rests on a rug."]).data
print(f"{len(vectors)} vectors of {len(vectors[0].embedding)} dimensions")
