"""Models behind OpenAI's protocol."""

from app.providers.openai_compatible.embedding import OpenAIEmbedding
from app.providers.openai_compatible.provider import OpenAICompatible
from app.providers.openai_compatible.request import Dialect

__all__ = ["Dialect", "OpenAICompatible", "OpenAIEmbedding"]
