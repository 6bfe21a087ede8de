"""The ways into the gateway, and on each of them every position that a text can stand in."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.no_leak.drafts import Draft, Words

Kind = Literal["chat", "embed", "store", "search", "explain"]
Put = Callable[[Draft, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in a request. `put` writes a text there.

    `sent`: the text is passed on to a model, at least to one that is asked over OpenAI's protocol. `read`: detectors
    can read it. `plain`: it takes any text, line breaks included. `local`: the scripted local model takes it as well.
    """

    put: Put
    sent: bool = True
    read: bool = True
    plain: bool = False
    local: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """A way in. `outline` is a request without the text in question."""

    path: str
    kind: Kind
    outline: Callable[[Draft], dict[str, Any]]
    positions: Mapping[str, Position]
    socket: bool = False
    sessions: bool = True


# Positions of the native body


def _message(draft: Draft, text: str) -> None:
    draft.body["message"] += f" {text}"


def _alias(draft: Draft, text: str) -> None:
    draft.body["content"] = f"{draft.body.pop('message')} {text}"


def _earlier_turn(draft: Draft, text: str) -> None:
    draft.begin_session()["message"] += f" {text}"


def _passage(draft: Draft, text: str) -> None:
    draft.add_document()["content"] += f" {text}."


def _passage_title(draft: Draft, text: str) -> None:
    draft.add_document()["title"] = f"Repairs {text}"


def _collection(draft: Draft, text: str) -> None:
    draft.body["documents"] = {"collection": text}


def _filter(draft: Draft, text: str) -> None:
    draft.body["documents"] = {"filter": {"author": {"eq": text}}}


def _request_id(draft: Draft, text: str) -> None:
    draft.headers["x-request-id"] = text.replace("\n", " ")


STORED = {
    "history": Position(put=_earlier_turn, plain=True),
    "passage": Position(put=_passage, plain=True),
    "title of a passage": Position(put=_passage_title),
}
UNSENT = {
    "collection": Position(put=_collection, sent=False),
    "document filter": Position(put=_filter, sent=False),
    "request id": Position(put=_request_id, sent=False),
}
NATIVE = {
    "message": Position(put=_message, plain=True),
    "content": Position(put=_alias, plain=True),
    **STORED,
    **UNSENT,
}


# Positions in messages, which the native body and OpenAI's share


def _at_end(draft: Draft, text: str) -> None:
    draft.body["messages"][-1]["content"] += f" {text}"


def _system(draft: Draft, text: str) -> None:
    draft.body["messages"][0]["content"] += f" {text}"


def _earlier_question(draft: Draft, text: str) -> None:
    draft.body["messages"][1:1] = [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}]


def _earlier_answer(draft: Draft, text: str) -> None:
    draft.body["messages"][1:1] = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": text}]


def _parts(draft: Draft, part: dict[str, Any]) -> None:
    last = draft.body["messages"][-1]
    last["content"] = [{"type": "text", "text": last["content"]}, part]


def _text_part(draft: Draft, text: str) -> None:
    _parts(draft, {"type": "text", "text": text})


def _image_url(draft: Draft, text: str) -> None:
    _parts(draft, {"type": "image_url", "image_url": {"url": f"https://images.example.org/{text}.png"}})


def _image_data(draft: Draft, text: str) -> None:
    pixels = base64.b64encode(text.encode()).decode()
    _parts(draft, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixels}"}})


def _data_url(text: str) -> str:
    return f"data:text/markdown;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"


def _text_file(draft: Draft, text: str) -> None:
    _parts(draft, {"type": "file", "file": {"filename": "notes.md", "file_data": _data_url(text)}})


def _text_as_image(draft: Draft, text: str) -> None:
    _parts(draft, {"type": "image_url", "image_url": {"url": _data_url(text)}})


MESSAGES = {
    "system prompt": Position(put=_system, plain=True),
    "earlier question": Position(put=_earlier_question, plain=True),
    "earlier answer": Position(put=_earlier_answer, plain=True),
    "last turn": Position(put=_at_end, plain=True),
    "text part": Position(put=_text_part, plain=True),
    "text file": Position(put=_text_file, plain=True),
    "text as an image": Position(put=_text_as_image, plain=True),
    "image URL": Position(put=_image_url, local=False),
    "image data": Position(put=_image_data, read=False),
}


# Positions that only OpenAI's body has


def _developer(draft: Draft, text: str) -> None:
    draft.body["messages"].insert(0, {"role": "developer", "content": text})


def _name(draft: Draft, text: str) -> None:
    draft.body["messages"][-1]["name"] = text


def _refusal(draft: Draft, text: str) -> None:
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": None, "refusal": text}]
    draft.body["messages"][1:1] = turns


def _tool_use(
    draft: Draft,
    *,
    call: str = "call_1",
    name: str = "look_up",
    arguments: str = '{"what": "storm"}',
    result: str = "ok",
) -> None:
    function = {"name": name, "arguments": arguments}
    draft.body["messages"][1:1] = [
        {"role": "user", "content": "Look it up."},
        {"role": "assistant", "tool_calls": [{"id": call, "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": call, "content": result},
    ]


def _tool(draft: Draft, *, name: str = "look_up", description: str = "Looks up.", parameter: str = "what") -> None:
    schema = {"type": "object", "properties": {parameter: {"type": "string"}}}
    function = {"name": name, "description": description, "parameters": schema}
    draft.body["tools"] = [{"type": "function", "function": function}]


def _tool_choice(draft: Draft, text: str) -> None:
    _tool(draft, name=text)
    draft.body["tool_choice"] = {"type": "function", "function": {"name": text}}


def _answer_shape(draft: Draft, *, name: str = "repair", description: str = "A repair.", key: str = "firm") -> None:
    schema = {"type": "object", "properties": {key: {"type": "string"}}}
    shape = {"name": name, "description": description, "schema": schema}
    draft.body["response_format"] = {"type": "json_schema", "json_schema": shape}


def _field(name: str, value: Callable[[str], Any]) -> Put:
    def put(draft: Draft, text: str) -> None:
        draft.body[name] = value(text)

    return put


OPENAI = {
    **MESSAGES,
    **STORED,
    **UNSENT,
    "developer prompt": Position(put=_developer, plain=True),
    "name": Position(put=_name),
    "refusal": Position(put=_refusal, plain=True),
    "tool call id": Position(put=lambda draft, text: _tool_use(draft, call=text)),
    "tool call name": Position(put=lambda draft, text: _tool_use(draft, name=text)),
    "tool call arguments": Position(put=lambda draft, text: _tool_use(draft, arguments=f'{{"what": "{text}"}}')),
    "tool result": Position(put=lambda draft, text: _tool_use(draft, result=text), plain=True),
    "tool name": Position(put=lambda draft, text: _tool(draft, name=text)),
    "tool description": Position(put=lambda draft, text: _tool(draft, description=text), plain=True),
    "tool parameters": Position(put=lambda draft, text: _tool(draft, parameter=text)),
    "tool choice": Position(put=_tool_choice),
    "answer name": Position(put=lambda draft, text: _answer_shape(draft, name=text)),
    "answer description": Position(put=lambda draft, text: _answer_shape(draft, description=text), plain=True),
    "answer schema": Position(put=lambda draft, text: _answer_shape(draft, key=text)),
    "stop": Position(put=_field("stop", lambda text: ["END", text])),
    "user": Position(put=_field("user", str), sent=False),
    "safety identifier": Position(put=_field("safety_identifier", str), sent=False),
    "metadata": Position(put=_field("metadata", lambda text: {"project": text}), sent=False),
    "prompt cache key": Position(put=_field("prompt_cache_key", str), sent=False),
    "prediction": Position(put=_field("prediction", lambda text: {"type": "content", "content": text}), sent=False),
}


# Positions outside of chats


def _input(draft: Draft, text: str) -> None:
    draft.body["input"] += f" {text}"


def _input_list(draft: Draft, text: str) -> None:
    draft.body["input"] = [draft.body["input"], text]


def _query(draft: Draft, text: str) -> None:
    draft.body["query"] += f" {text}"


def _document(key: str) -> Put:
    def put(draft: Draft, text: str) -> None:
        document = draft.body["documents"][0]
        document[key] = f"{document.get(key, '')} {text}".strip()

    return put


def _document_metadata(draft: Draft, text: str) -> None:
    draft.body["documents"][0]["metadata"] = {"author": text, text.replace("\n", " "): 1}


EMBEDDINGS = {
    "input": Position(put=_input, plain=True),
    "input list": Position(put=_input_list, plain=True),
    "user": Position(put=_field("user", str), sent=False),
}
SEARCH = {"query": Position(put=_query, plain=True), "request id": Position(put=_request_id, sent=False)}
DOCUMENTS = {
    "content": Position(put=_document("content"), plain=True),
    "title": Position(put=_document("title"), sent=False),
    "id": Position(put=_document("id"), sent=False),
    "metadata": Position(put=_document_metadata, sent=False, read=False),
}


def _native(draft: Draft) -> dict[str, Any]:
    return {"message": draft.question}


def _frame(draft: Draft) -> dict[str, Any]:
    """A socket's session is there already, so that a public turn in it needs nothing written before it is sent."""
    draft.begin_session()
    return {**draft.body, **_native(draft)}


def _with_messages(draft: Draft) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": draft.question}]}


def _completion(draft: Draft) -> dict[str, Any]:
    return {"model": "auto", **_with_messages(draft)}


def _streamed(draft: Draft) -> dict[str, Any]:
    return {**_completion(draft), "stream": True, "stream_options": {"include_usage": True}}


def _embedding(draft: Draft) -> dict[str, Any]:
    return {"model": "auto", "input": draft.question}


def _search(draft: Draft) -> dict[str, Any]:
    return {"query": draft.question, "collection": draft.words.name}


def _documents(draft: Draft) -> dict[str, Any]:
    document = {"id": draft.words.name, "content": f"The storm passed over {draft.words.carrier}"}
    return {"documents": [document], "collection": draft.words.name}


SURFACES: Mapping[str, Surface] = {
    "chat": Surface(path="/chat", kind="chat", outline=_native, positions=NATIVE),
    "chat stream": Surface(path="/chat/stream", kind="chat", outline=_native, positions=NATIVE),
    "messages": Surface(path="/chat", kind="chat", outline=_with_messages, positions={**MESSAGES, **STORED}),
    "messages stream": Surface(
        path="/chat/stream", kind="chat", outline=_with_messages, positions={**MESSAGES, **STORED}
    ),
    "openai": Surface(path="/v1/chat/completions", kind="chat", outline=_completion, positions=OPENAI),
    "openai stream": Surface(path="/v1/chat/completions", kind="chat", outline=_streamed, positions=OPENAI),
    "socket": Surface(path="/websockets/chat/{session}", kind="chat", outline=_frame, positions=NATIVE, socket=True),
    "stateless socket": Surface(
        path="/websockets/openrouter",
        kind="chat",
        outline=_with_messages,
        positions=MESSAGES,
        socket=True,
        sessions=False,
    ),
    "route": Surface(path="/route", kind="explain", outline=_native, positions=NATIVE),
    "embeddings": Surface(path="/v1/embeddings", kind="embed", outline=_embedding, positions=EMBEDDINGS),
    "search": Surface(path="/search", kind="search", outline=_search, positions=SEARCH),
    "documents": Surface(path="/documents?wait=true", kind="store", outline=_documents, positions=DOCUMENTS),
}


def draft_of(surface: Surface, *, position: str, words: Words) -> Draft:
    """The request with the canary in its position."""
    draft = Draft(words=words, body={})
    draft.body = surface.outline(draft)
    surface.positions[position].put(draft, words.canary)
    return draft
