"""The frames that clients send on a socket: a message, a stop, a key."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.errors import InvalidRequestError
from app.routers.bodies import decode_json
from app.routers.native import ChatBody, DocumentsBody, Strict
from app.routers.validation import validate

# The longest token that is looked at.
LONGEST_CREDENTIAL = 8192


class MessageFrame(ChatBody):
    """A `/chat` body. Where its turn is stored and how it is answered is settled by the socket."""

    type: Literal["message"] = "message"

    @model_validator(mode="after")
    def _leaves_the_rest_to_the_socket(self) -> Self:
        if self.model_fields_set & {"session_id", "stream"}:
            raise ValueError("session_id and stream are settled by the socket's address")
        return self


class StatelessFrame(MessageFrame):
    """The same, with documents only where they are asked for."""

    documents: bool | DocumentsBody = False


class StopFrame(Strict):
    """Ends the answer that is running."""

    type: Literal["stop"]


class AuthFrame(Strict):
    """A key, for clients that can set neither headers nor subprotocols."""

    type: Literal["auth"]
    key: Annotated[str, Field(min_length=1, max_length=LONGEST_CREDENTIAL)]


Frame = MessageFrame | StopFrame | AuthFrame


def read_frame(text: str, *, message: type[MessageFrame]) -> Frame:
    """The frame in a text, whose messages are of the type given; raises `InvalidRequestError`."""
    value = decode_json(text.encode())
    if not isinstance(value, dict):
        raise InvalidRequestError("A frame is a JSON object.")
    kinds: dict[object, type[Frame]] = {"message": message, "stop": StopFrame, "auth": AuthFrame}
    kind = value.get("type", "message")
    if not isinstance(kind, str) or kind not in kinds:
        raise InvalidRequestError("type: must be message, stop or auth.", param="type")
    return validate(kinds[kind], value)
