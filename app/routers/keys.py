"""`/keys`: made, listed, changed, rotated and revoked, by whoever has the scope `admin`.

The operator's key rules over all tenants; any other only over keys of its own tenant that allow no more than itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from app.dependencies import EDGE, AdminCaller, ServicesDep
from app.errors import NotFoundError
from app.models import ORDINARY_SCOPES, Budget, Caller, Label, Limits, Scope
from app.records import Key
from app.routers.bodies import BoundedRoute
from app.routers.native import LabelWord, Name, Strict
from app.routers.replies import json_response
from app.services.keys import KEY_PREFIX, NewKey, refuse_excess, visible

router = APIRouter(prefix="/keys", tags=["keys"], route_class=BoundedRoute, dependencies=EDGE)

LONGEST_OVERLAP_SECONDS = 7 * 24 * 3600
NO_STORE = {"cache-control": "no-store"}

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Dollars = Annotated[float, Field(gt=0, le=1_000_000_000)]
ModelPattern = Annotated[str, Field(min_length=3, max_length=512, pattern=r"^[^/\s]+/\S+$")]
Scopes = Annotated[list[Annotated[Scope, Field(strict=False)]], Field(min_length=1, max_length=len(Scope))]
Models = Annotated[list[ModelPattern], Field(min_length=1, max_length=1000)]


def _parse_time(value: object) -> object:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


Instant = Annotated[AwareDatetime, BeforeValidator(_parse_time)]


class BudgetBody(Strict):
    """US dollars for a calendar day and month in UTC."""

    day: Dollars | None = None
    month: Dollars | None = None


class Allowances(Strict):
    """What a key allows; what is left out takes its default."""

    clearance: LabelWord = Label.CONFIDENTIAL
    label_floor: LabelWord = Label.PUBLIC
    models: Models | None = None
    scopes: Scopes = sorted(ORDINARY_SCOPES)
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    concurrent_streams: Count | None = None
    budget: BudgetBody = BudgetBody()
    semantic_cache: bool = False

    def allow(self, caller: Caller, *, only: frozenset[str]) -> Caller:
        """The caller with what was given; `only` names the fields to take."""
        given = {name: value for name, value in self._values().items() if name in only}
        limits = {name: given.pop(name) for name in Limits.__slots__ if name in given}
        return replace(caller, **given, limits=replace(caller.limits, **limits))

    def _values(self) -> dict[str, Any]:
        return {
            "clearance": self.clearance,
            "label_floor": self.label_floor,
            "models": None if self.models is None else frozenset(self.models),
            "scopes": frozenset(self.scopes),
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
            "concurrent_streams": self.concurrent_streams,
            "budget": Budget(day=self.budget.day, month=self.budget.month),
            "semantic_cache": self.semantic_cache,
        }


class KeyBody(Allowances):
    """A new key. Its tenant is the asker's own unless the operator names another."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    tenant: Name | None = None
    owner: Name | None = None
    expires_at: Instant | None = None


class KeyChanges(Allowances):
    """What is to change of a key; what is left out stays as it is."""


class RotationBody(Strict):
    """For how many seconds the secret before stays good."""

    overlap: Annotated[int, Field(ge=0, le=LONGEST_OVERLAP_SECONDS)] = 0


class NewKeyReply(BaseModel):
    """The only time that the key itself is shown."""

    id: str
    key: str


class BudgetReply(BaseModel):
    day: float | None
    month: float | None


class KeyReply(BaseModel):
    """A key without its secret; `prefix` is how it begins."""

    id: str
    prefix: str
    name: str
    tenant: str
    owner: str | None
    clearance: str
    label_floor: str
    scopes: list[str]
    models: list[str] | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_streams: int | None
    budget: BudgetReply
    semantic_cache: bool
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class KeysReply(BaseModel):
    keys: list[KeyReply]


@router.post("", response_model=NewKeyReply, status_code=201)
async def create_key(body: KeyBody, services: ServicesDep, caller: AdminCaller) -> Response:
    """Make a key. The answer is the only one that holds it: what is stored is a digest."""
    blank = Caller(tenant=body.tenant or caller.tenant, user=body.owner)
    wanted = body.allow(blank, only=frozenset(Allowances.model_fields))
    refuse_excess(wanted, caller=caller)
    made = await services.keys.create(body.name, caller=wanted, expires_at=body.expires_at)
    return _new_key_response(made, status=201)


@router.get("", response_model=KeysReply)
async def list_keys(services: ServicesDep, caller: AdminCaller) -> Response:
    """The keys there are and were, newest first, without their secrets."""
    found = await services.keys.find_all(tenant=None if caller.operator else caller.tenant)
    return json_response({"keys": [_key_reply(key) for key in found]}, headers=NO_STORE)


@router.get("/{key_id}", response_model=KeyReply)
async def read_key(key_id: str, services: ServicesDep, caller: AdminCaller) -> Response:
    """What a key that works allows, without its secret; one that was revoked is in the list alone."""
    key = visible(await services.keys.get(key_id), caller=caller)
    if key.revoked_at is not None:
        raise NotFoundError
    return json_response(_key_reply(key), headers=NO_STORE)


@router.patch("/{key_id}", response_model=KeyReply)
async def change_key(key_id: str, body: KeyChanges, services: ServicesDep, caller: AdminCaller) -> Response:
    """Change what a key allows, on all workers within half a second."""

    def edit(key: Key) -> Key:
        wanted = body.allow(visible(key, caller=caller).caller, only=frozenset(body.model_fields_set))
        refuse_excess(wanted, caller=caller)
        return replace(key, caller=wanted)

    return json_response(_key_reply(await services.keys.change(key_id, edit)), headers=NO_STORE)


@router.post("/{key_id}/rotate", response_model=NewKeyReply)
async def rotate_key(key_id: str, body: RotationBody, services: ServicesDep, caller: AdminCaller) -> Response:
    """Give a key a new secret; the one before ends at once, or after `overlap` seconds."""
    visible(await services.keys.get(key_id), caller=caller)
    rotated = await services.keys.rotate(key_id, overlap=timedelta(seconds=body.overlap))
    return _new_key_response(rotated, status=200)


@router.delete("/{key_id}", response_class=Response, status_code=204)
async def revoke_key(key_id: str, services: ServicesDep, caller: AdminCaller) -> Response:
    """End a key on all workers within half a second."""
    visible(await services.keys.get(key_id), caller=caller)
    await services.keys.revoke(key_id)
    return Response(status_code=204)


def _new_key_response(made: NewKey, *, status: int) -> Response:
    return json_response({"id": made.key.id, "key": made.text}, status=status, headers=NO_STORE)


def _key_reply(key: Key) -> Mapping[str, Any]:
    caller = key.caller
    return {
        "id": key.id,
        "prefix": f"{KEY_PREFIX}{key.id}",
        "name": key.name,
        "tenant": caller.tenant,
        "owner": caller.user,
        "clearance": caller.clearance.word,
        "label_floor": caller.label_floor.word,
        "scopes": sorted(caller.scopes),
        "models": None if caller.models is None else sorted(caller.models),
        "requests_per_minute": caller.limits.requests_per_minute,
        "tokens_per_minute": caller.limits.tokens_per_minute,
        "concurrent_streams": caller.limits.concurrent_streams,
        "budget": {"day": caller.budget.day, "month": caller.budget.month},
        "semantic_cache": caller.semantic_cache,
        "created_at": key.created_at.isoformat(),
        "expires_at": _time(key.expires_at),
        "revoked_at": _time(key.revoked_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
