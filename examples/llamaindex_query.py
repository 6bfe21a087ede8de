"""LlamaIndex against Sluice: an index in memory whose embeddings and answers come from the gateway.

Needs `pip install llama-index-core llama-index-llms-openai-like llama-index-embeddings-openai-like`.
"""

from __future__ import annotations

import os

from llama_index.core import Document, VectorStoreIndex
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike

base_url = os.environ.get("SLUICE_URL", "http://127.0.0.1:8000") + "/v1"
api_key = os.environ.get("SLUICE_KEY", "unused")

# `is_chat_model` sends messages, `context_window` is what the smallest model in use takes.
model = OpenAILike(model="auto", api_base=base_url, api_key=api_key, is_chat_model=True, context_window=8192)
embeddings = OpenAILikeEmbedding(model_name="auto", api_base=base_url, api_key=api_key)

index = VectorStoreIndex.from_documents(
    [Document(text="The summit register of the Zugspitze is kept by Anna.")], embed_model=embeddings
)
print(index.as_query_engine(llm=model).query("Who keeps the summit register of the Zugspitze?"))
