"""`WS /websockets/chat/{session_id}` and `WS /websockets/openrouter`: who may open one, and what its messages mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from fastapi import APIRouter
from pydantic import TypeAdapter, ValidationError
from starlette.websockets import WebSocket

from app.dependencies import bearer_key, get_services, get_stated_label, limit_rate, require
from app.errors import NotFoundError, SluiceError
from app.limits import NO_ADDRESS, TokenBuckets
from app.models import Caller, ChatRequest, Label, Scope
from app.routers.bodies import check_text
from app.routers.native import Name
from app.routers.replies import error_response
from app.routers.sockets.conversation import Opener, SocketConversation, SocketLimits, SocketRules
from app.routers.sockets.frames import MessageFrame, StatelessFrame
from app.utils.instruments import OPEN_SOCKETS
from app.wiring import Services

# A browser can offer subprotocols but set no headers: it offers `sluice` and `sluice-key.KEY`, and `sluice` is chosen.
PROTOCOL = "sluice"
KEY_PROTOCOL = "sluice-key."
OPENROUTER = "openrouter"

SESSION_ID: TypeAdapter[str] = TypeAdapter(Name)

Prepare = Callable[[MessageFrame, Label | None], ChatRequest]


def create_router(*, limits: SocketLimits) -> APIRouter:
    """The routes of the sockets, with what each socket may cost."""
    router = APIRouter(prefix="/websockets")

    @router.websocket("/chat/{session_id}")
    async def chat(websocket: WebSocket, session_id: str) -> None:
        """Turns of a stored conversation: each message is answered in the light of those before."""

        def prepare(frame: MessageFrame, stated: Label | None) -> ChatRequest:
            return replace(frame.to_request(stream=True, stated=stated), session_id=session_id)

        await _serve(websocket, frame=MessageFrame, prepare=prepare, session_id=session_id, limits=limits)

    @router.websocket("/openrouter")
    async def openrouter(websocket: WebSocket) -> None:
        """Messages that stand for themselves; a model's name means OpenRouter's model where there is one."""
        services = await get_services(websocket)

        def prepare(frame: MessageFrame, stated: Label | None) -> ChatRequest:
            request = frame.to_request(stream=True, stated=stated)
            return replace(request, model=_prefer_openrouter(request.model, services=services))

        await _serve(websocket, frame=StatelessFrame, prepare=prepare, session_id=None, limits=limits)

    return router


router = create_router(limits=SocketLimits())


async def _serve(
    websocket: WebSocket, *, frame: type[MessageFrame], prepare: Prepare, session_id: str | None, limits: SocketLimits
) -> None:
    """Refuse the handshake with the HTTP status that the error has, or accept it and converse."""
    services = await get_services(websocket)
    try:
        await limit_rate(websocket)
        stated = await get_stated_label(websocket)
        opener = await _first_opener(websocket, services=services)
        _check_session_id(session_id)
    except SluiceError as error:
        await websocket.send_denial_response(error_response(error))
        return
    await websocket.accept(subprotocol=PROTOCOL if PROTOCOL in websocket.scope["subprotocols"] else None)
    buckets: TokenBuckets = websocket.app.state.message_limit
    rules = SocketRules(
        frame=frame,
        prepare=lambda message: prepare(message, stated),
        authenticate=partial(_authenticate, services=services),
        take_token=partial(buckets.take, websocket.client.host if websocket.client else NO_ADDRESS),
    )
    conversation = SocketConversation(websocket, gateway=services.gateway, rules=rules, limits=limits, opened_by=opener)
    with services.metrics.gauge(OPEN_SOCKETS).of().track_inprogress():
        await conversation.run()


async def _first_opener(websocket: WebSocket, *, services: Services) -> Opener | None:
    """What the socket is opened with, by header or subprotocol; `None` if the first frame is to say so.

    Raises `AuthenticationError` for a wrong key and `ScopeError` for one that may not chat.
    """
    offered = [name for name in websocket.scope["subprotocols"] if name.startswith(KEY_PROTOCOL)]
    key = bearer_key(websocket.headers) or (offered[0].removeprefix(KEY_PROTOCOL) if offered else None)
    if key is None and services.authenticator.protected:
        return None
    await _authenticate(key, services=services)
    return Opener(key)


async def _authenticate(key: str | None, *, services: Services) -> Caller:
    caller = await services.authenticator.identify(key)
    require(Scope.CHAT, caller=caller)
    return caller


def _check_session_id(session_id: str | None) -> None:
    if session_id is None:
        return
    try:
        SESSION_ID.validate_python(session_id)
    except ValidationError:
        raise NotFoundError from None
    check_text(session_id)


def _prefer_openrouter(model: str, *, services: Services) -> str:
    known = f"{OPENROUTER}/{model}"
    return known if known in services.catalog.view.models else model
