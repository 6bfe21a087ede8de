"""The protocols of model servers, each in its exact shapes."""

from __future__ import annotations

from tests.support.dialects.anthropic import AnthropicDialect
from tests.support.dialects.ollama import OllamaDialect, OllamaModel
from tests.support.dialects.openai import OpenAIDialect

__all__ = ["AnthropicDialect", "OllamaDialect", "OllamaModel", "OpenAIDialect"]
