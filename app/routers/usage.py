"""`/usage`: what was used and what it cost, added up by key, user, model, label and day."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, cast, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.dependencies import EDGE, ServicesDep, UsageCaller
from app.errors import InvalidRequestError
from app.models import Caller, Scope
from app.records import UsageDimension, UsageQuery, UsageRow
from app.routers.replies import json_response
from app.services.usage import NANODOLLARS

router = APIRouter(tags=["usage"], dependencies=EDGE)

NO_STORE = {"cache-control": "no-store"}
MOST_ROWS = 10_000
MOST_BEFORE = 1_000_000_000
# On the wire a key is a key, whatever it is found by.
WORDS: Mapping[str, UsageDimension] = {
    name.removesuffix("_id"): cast("UsageDimension", name) for name in get_args(UsageDimension)
}
# With which a spreadsheet takes a cell for a formula (OWASP, "CSV Injection").
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def _parse_day(value: object) -> object:
    """Pydantic would take a number for seconds since 1970."""
    return date.fromisoformat(value) if isinstance(value, str) else value


Day = Annotated[date, BeforeValidator(_parse_day)]


class UsageSums(BaseModel):
    """`estimated_tokens` are those of `total_tokens` that no server reported; `cost` is in US dollars.

    `cached_tokens`, `cache_write_tokens` and `image_tokens` are among the prompt's, `reasoning_tokens` among the
    completion's, `audio_tokens` among both, as far as servers tell them apart.
    """

    requests: int
    cached_requests: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    image_tokens: int
    audio_tokens: int
    reasoning_tokens: int
    cost: float


class UsageRowReply(UsageSums):
    """A sum, and what it is the sum of: the dimensions that were asked for."""

    day: str | None = None
    tenant: str | None = None
    key: str | None = None
    user: str | None = None
    model: str | None = None
    label: str | None = None
    price: str | None = None


class UsagePage(BaseModel):
    """Sums in the order of what they are by. `next` is the `after` of the next page, `None` on the last."""

    model_config = ConfigDict(serialize_by_alias=True)

    first: str = Field(alias="from")
    last: str = Field(alias="to")
    usage: list[UsageRowReply]
    total: UsageSums
    next: int | None


@router.get(
    "/usage", response_model=UsagePage, responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
)
async def usage(
    services: ServicesDep,
    caller: UsageCaller,
    *,
    first: Annotated[Day | None, Query(alias="from", description="a day in UTC; the first of the month")] = None,
    last: Annotated[Day | None, Query(alias="to", description="a day in UTC, included; today")] = None,
    by: Annotated[str, Query(max_length=100, description="any of " + ", ".join(WORDS))] = "day,model",
    format: Annotated[Literal["json", "csv"], Query()] = "json",
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 1000,
    after: Annotated[int, Query(ge=0, le=MOST_BEFORE)] = 0,
) -> Response:
    """Tokens, calls, requests and cost: of all tenants for the operator, of its tenant for who administers it.

    Everyone else sees the own key's, or with a token the own. What is on its way is in it 0.1 s after its end.
    """
    today = datetime.now(UTC).date()
    last = last or today
    first = first or last.replace(day=1)
    if first > last:
        raise InvalidRequestError("from: must not be after to.", param="from")
    words = _words(by)
    query = _visible(
        UsageQuery(first=first, last=last, by=tuple(WORDS[word] for word in words)),
        caller=caller,
        protected=services.settings.protected,
    )
    found = await services.ledger.find(query, limit=limit + 1, offset=after)
    rows, more = [_row(each, words=words) for each in found[:limit]], len(found) > limit
    following = after + limit if more else None
    if format == "csv":
        asked = {"from": first, "to": last, "by": by, "format": format, "limit": limit, "after": following}
        link = {"link": f'</usage?{urlencode(asked)}>; rel="next"'} if more else {}
        return Response(_table(rows, words=words), media_type="text/csv", headers={**NO_STORE, **link})
    total = await services.ledger.total(query)
    body = {
        "from": first.isoformat(),
        "to": last.isoformat(),
        "usage": rows,
        "total": _sums(total),
        "next": following,
    }
    return json_response(body, headers=NO_STORE)


def _words(by: str) -> Sequence[str]:
    words = tuple(dict.fromkeys(word.strip() for word in by.split(",") if word.strip()))
    if not set(words) <= WORDS.keys():
        raise InvalidRequestError(f"by: must list any of {', '.join(WORDS)}.", param="by")
    return words


def _visible(query: UsageQuery, *, caller: Caller, protected: bool) -> UsageQuery:
    """The query, for what the caller may see of it."""
    if caller.operator:
        return query
    if Scope.ADMIN in caller.scopes or not protected:
        return replace(query, tenant=caller.tenant)
    person = caller.user or "" if caller.key_id is None else None
    return replace(query, tenant=caller.tenant, key_id=caller.key_id or "", user=person)


def _row(row: UsageRow, *, words: Sequence[str]) -> dict[str, Any]:
    return {**dict(zip(words, map(str, row.values), strict=True)), **_sums(row)}


def _sums(row: UsageRow) -> dict[str, Any]:
    count = row.count
    return {
        "requests": count.requests,
        "cached_requests": count.cached,
        "calls": count.calls,
        "prompt_tokens": count.prompt_tokens,
        "completion_tokens": count.completion_tokens,
        "total_tokens": count.prompt_tokens + count.completion_tokens,
        "estimated_tokens": count.estimated_tokens,
        "cached_tokens": count.cached_tokens,
        "cache_write_tokens": count.cache_write_tokens,
        "image_tokens": count.image_tokens,
        "audio_tokens": count.audio_tokens,
        "reasoning_tokens": count.reasoning_tokens,
        "cost": count.cost / NANODOLLARS,
    }


def _table(rows: Sequence[Mapping[str, Any]], *, words: Sequence[str]) -> str:
    """The rows as CSV (RFC 4180), with a head."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=[*words, *UsageSums.model_fields])
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
