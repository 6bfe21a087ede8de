"""LangChain against Sluice: a chat model, a tool, embeddings. Needs `pip install langchain-openai`."""

from __future__ import annotations

import os

from langchain_openai import ChatOpenAI, OpenAIEmbeddings

base_url = os.environ.get("SLUICE_URL", "http://127.0.0.1:8000") + "/v1"
api_key = os.environ.get("SLUICE_KEY", "unused")

print("== An answer")
model = ChatOpenAI(model="auto", base_url=base_url, api_key=api_key)
answer = model.invoke("What is the capital of France?")
print(answer.content)
print("--", answer.response_metadata["model_name"])

print("== A stream from the documents that were put in")
documents = ChatOpenAI(model="documents", base_url=base_url, api_key=api_key)
for chunk in documents.stream("How many blankets were delivered?"):
    print(chunk.content, end="", flush=True)
print()

print("== A request for local models only")
local = ChatOpenAI(model="local", base_url=base_url, api_key=api_key)
print("--", local.invoke("Summarise the merger plan.").response_metadata["model_name"])

print("== Embeddings")
# Sluice refuses token ids, which it could not classify: `check_embedding_ctx_length=False` sends text.
embeddings = OpenAIEmbeddings(model="auto", base_url=base_url, api_key=api_key, check_embedding_ctx_length=False)
print(f"{len(embeddings.embed_query('A cat sits on the mat.'))} dimensions")
