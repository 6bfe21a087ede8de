"""What an Ollama server says of its models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.providers.wire import JSONObject, count_at, object_at, text_at

CLOUD_SUFFIXES = (":cloud", "-cloud")
_WINDOW = re.compile(r"^num_ctx\s+(\d+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What `/api/show` reports. `remote` says that the model runs on another host than the server.

    `context_length` is what the model was made for, `window` what its Modelfile sets, both in tokens.
    """

    remote: bool
    chats: bool = True
    vision: bool = False
    tools: bool = True
    thinking: bool = False
    family: str = ""
    context_length: int | None = None
    window: int | None = None


UNKNOWN = ModelFacts(remote=True)


def read_facts(shown: JSONObject) -> ModelFacts:
    """The facts in the body of an answer to `/api/show`."""
    capabilities = shown.get("capabilities")
    known: Sequence[object] = capabilities if isinstance(capabilities, list) else ()
    info = object_at(shown, "model_info")
    window = _WINDOW.search(text_at(shown, "parameters"))
    return ModelFacts(
        remote=bool(shown.get("remote_host") or shown.get("remote_model")),
        # Servers from before there were capabilities tell the same by other fields.
        chats="completion" in known if known else True,
        vision="vision" in known if known else bool(object_at(shown, "projector_info")),
        tools="tools" in known if known else ".Tools" in text_at(shown, "template"),
        thinking="thinking" in known,
        family=text_at(object_at(shown, "details"), "family") or text_at(info, "general.architecture"),
        context_length=count_at(info, f"{text_at(info, 'general.architecture')}.context_length"),
        window=int(window[1]) if window else None,
    )


def has_cloud_name(name: str) -> bool:
    """Whether the name says that the model runs in Ollama's cloud."""
    return name.lower().endswith(CLOUD_SUFFIXES)


def tagged(name: str) -> str:
    """The name as the server lists it: lower case, and no tag means `:latest`."""
    name = name.lower()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
