"""Models that an Ollama server runs."""

from app.providers.ollama.embedding import OllamaEmbedding
from app.providers.ollama.provider import Ollama

__all__ = ["Ollama", "OllamaEmbedding"]
