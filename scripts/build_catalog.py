"""Fill in the facts of catalog.toml (context, vision, tools, sampling, price, lacks) from litellm's local price table.

The list of models, their tiers, titles, descriptions and the preferences are kept by hand in catalog.toml; this program
rewrites only the facts of the cloud models among them. To add a model, write a block with `id`, `tier`, `title` and
`description` and run it: `.venv/bin/python scripts/build_catalog.py`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CATALOG = Path(__file__).resolve().parent.parent / "catalog.toml"
TABLE_NAME = "litellm/model_prices_and_context_window_backup.json"
LOCAL_PROVIDERS = frozenset({"ollama"})

# The table names the models of OpenAI and Anthropic bare. OpenRouter passes on its vendors' list prices.
TABLE_PREFIXES = {
    "openai/": "",
    "anthropic/": "",
    "openrouter/anthropic/": "",
    "openrouter/deepseek/": "deepseek/",
    "openrouter/google/": "gemini/",
    "openrouter/openai/": "",
}

# What the table denies only where it says so: most entries leave these out.
DENIED_BY = {"json_schema": "supports_response_schema", "prefill": "supports_assistant_prefill"}

# What tokens of a kind cost, and what all others do: only a price that differs is written down. A zero says that no
# provider bills such tokens apart.
KIND_PRICES = {
    "cached_per_million": ("cache_read_input_token_cost", "input_cost_per_token"),
    "cache_write_per_million": ("cache_creation_input_token_cost", "input_cost_per_token"),
    "image_per_million": ("input_cost_per_image_token", "input_cost_per_token"),
    "audio_per_million": ("input_cost_per_audio_token", "input_cost_per_token"),
    "spoken_per_million": ("output_cost_per_audio_token", "output_cost_per_token"),
    "reasoning_per_million": ("output_cost_per_reasoning_token", "output_cost_per_token"),
}

Entry = Mapping[str, Any]  # an entry of the table, whose fields are many and loosely typed


def read_table() -> dict[str, Entry]:
    """The price table inside the installed litellm, read without importing litellm (which takes seconds)."""
    path = Path(str(importlib.metadata.distribution("litellm").locate_file(TABLE_NAME)))
    table: dict[str, Entry] = json.loads(path.read_bytes())
    return table


def table_key(model_id: str) -> str:
    """The name of a model in the table."""
    for ours in sorted(TABLE_PREFIXES, key=len, reverse=True):
        if model_id.startswith(ours):
            name = TABLE_PREFIXES[ours] + model_id.removeprefix(ours)
            return name.replace(".", "-") if "claude" in name else name
    return model_id


def takes_sampling(name: str, entry: Entry) -> bool:
    """Whether a model accepts a temperature: OpenAI's reasoning models do only where they do not reason by default."""
    if re.match(r"(gpt-[5-9]|o\d)", name):
        return bool(entry.get("default_reasoning_effort") == "none")
    return entry.get("supports_sampling_params") is not False


def per_million(dollars_per_token: float) -> str:
    return f"{round(dollars_per_token * 1_000_000, 6):g}"


def word(value: object) -> str:
    return "true" if value else "false"


def kind_prices(entry: Entry) -> dict[str, str]:
    """The prices that differ from the plain one of prompt or completion."""
    return {
        name: per_million(entry[field])
        for name, (field, plain) in KIND_PRICES.items()
        if entry.get(field) and entry[field] != entry[plain]
    }


def facts(model_id: str, table: Mapping[str, Entry]) -> dict[str, str]:
    """The facts of a cloud model as TOML values; raises `KeyError` if the table does not have it."""
    key = table_key(model_id)
    entry = table[key]
    denied = [ability for ability, field in DENIED_BY.items() if entry.get(field) is False]
    return {
        "locality": '"cloud"',
        "context_length": str(entry["max_input_tokens"]),
        "vision": word(entry.get("supports_vision")),
        "tools": word(entry.get("supports_function_calling")),
        "sampling": word(takes_sampling(key, entry)),
        "prompt_per_million": per_million(entry["input_cost_per_token"]),
        "completion_per_million": per_million(entry["output_cost_per_token"]),
        **kind_prices(entry),
        **({"lacks": json.dumps(denied)} if denied else {}),
    }


def with_facts(block: str, table: Mapping[str, Entry]) -> str:
    """A `[[model]]` block with its facts written anew; a local model's are its author's and stay as they are."""
    model_id = tomllib.loads(block)["model"][0]["id"]
    if model_id.partition("/")[0] in LOCAL_PROVIDERS:
        return block
    found = facts(model_id, table)
    rewritten = found.keys() | KIND_PRICES.keys()
    kept = [line for line in block.rstrip().splitlines() if line.partition(" = ")[0] not in rewritten]
    return "\n".join([*kept, *(f"{name} = {value}" for name, value in found.items())]) + block[len(block.rstrip()) :]


def refresh(text: str, table: Mapping[str, Entry]) -> str:
    """The catalog's text with the facts of every cloud model taken from the table."""
    pieces = re.split(r"(?m)^(?=\[\[model\]\]$|\[preferences\]$|# ---)", text)
    return "".join(with_facts(piece, table) if piece.startswith("[[model]]") else piece for piece in pieces)


def main() -> int:
    parser = argparse.ArgumentParser(description="Fill in the facts of catalog.toml from litellm's local price table.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if the two differ")
    arguments = parser.parse_args()
    before = CATALOG.read_text(encoding="utf-8")
    after = refresh(before, read_table())
    if arguments.check:
        print("The catalog agrees with the table." if before == after else "The catalog differs from the table.")
        return int(before != after)
    CATALOG.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
