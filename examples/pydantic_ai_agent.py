"""Pydantic AI against Sluice: an agent with a tool, a typed answer. Needs `pip install "pydantic-ai-slim[openai]"`."""

from __future__ import annotations

import os

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

base_url = os.environ.get("SLUICE_URL", "http://127.0.0.1:8000") + "/v1"
api_key = os.environ.get("SLUICE_KEY", "unused")
model = OpenAIChatModel("auto", provider=OpenAIProvider(base_url=base_url, api_key=api_key))


class City(BaseModel):
    name: str
    inhabitants: int


print("== An agent with a tool")
agent = Agent(model)


@agent.tool_plain
def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


answer = agent.run_sync("How is the weather in Oslo?")
print(answer.output)
print("--", answer.response.model_name, answer.usage.total_tokens, "tokens")

print("== A typed answer")
print(Agent(model, output_type=NativeOutput(City)).run_sync("'Oslo' has 700000 inhabitants.").output)
