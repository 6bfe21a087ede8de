"""`python -m app keys`: make, list, limit, rotate and revoke the API keys of a running service."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.cli.asking import add_yes, agreed, over_http
from app.cli.client import ServiceClient
from app.models import Label, Scope

if TYPE_CHECKING:
    from argparse import _SubParsersAction

LABELS = [label.word for label in Label]
# Options that go into the body as they are, by the name of their field.
FIELDS = (
    "name",
    "tenant",
    "owner",
    "clearance",
    "label_floor",
    "scopes",
    "models",
    "semantic_cache",
    "expires_at",
)

LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrent_streams")
BUDGETS = ("budget_day", "budget_month")


def add_to(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    keys = commands.add_parser(
        "keys",
        help="make, list, limit, rotate and revoke API keys",
        description="Speak to the service at SLUICE_URL with the key in SLUICE_API_KEY; to the one of HOST and PORT "
        "without both, with ADMIN_KEY.",
    )
    actions = keys.add_subparsers(required=True, metavar="ACTION")
    _add_create(actions)
    listing = actions.add_parser("list", help="list keys, without their secrets")
    listing.set_defaults(command=over_http(_list))
    rotate = actions.add_parser("rotate", help="give a key a new secret")
    rotate.add_argument("id")
    rotate.add_argument("--overlap", type=int, default=0, help="seconds for which the old secret stays good; 0")
    revoke = actions.add_parser("revoke", help="end a key, everywhere within half a second")
    revoke.add_argument("id")
    for action, run in ((rotate, _rotate), (revoke, _revoke)):
        add_yes(action)
        action.set_defaults(command=over_http(run))
    limit = actions.add_parser("limit", help="change what a key may use and spend, everywhere within half a second")
    limit.add_argument("id")
    _add_limits(limit)
    limit.set_defaults(command=over_http(_limit))


def _add_create(actions: _SubParsersAction[argparse.ArgumentParser]) -> None:
    create = actions.add_parser("create", help="make a key and print it, once")
    create.add_argument("name")
    create.add_argument("--tenant")
    create.add_argument("--owner", help="the user whose key it is")
    create.add_argument("--clearance", choices=LABELS, help="the highest label it may read")
    create.add_argument("--label-floor", choices=LABELS, help="the lowest label of what it sends")
    create.add_argument("--scope", dest="scopes", action="append", choices=[scope.value for scope in Scope])
    create.add_argument("--model", dest="models", action="append", help="provider/name or provider/*; may be repeated")
    _add_limits(create)
    create.add_argument(
        "--semantic-cache", action="store_true", default=None, help="allow for cached answers to other wordings"
    )
    create.add_argument("--expires-at", help="a time with its zone, such as 2030-01-31T00:00:00+00:00")
    create.set_defaults(command=over_http(_create))


def _add_limits(parser: argparse.ArgumentParser) -> None:
    """What is not given is not in the options at all: `none` is something that is given."""
    for name in LIMITS:
        parser.add_argument(_option(name), type=_count, default=argparse.SUPPRESS, metavar="N|none")
    for name in BUDGETS:
        period = name.removeprefix("budget_")
        parser.add_argument(
            _option(name),
            type=_dollars,
            default=argparse.SUPPRESS,
            metavar="USD|none",
            help=f"US dollars that it may spend in a {period} of UTC",
        )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _count(text: str) -> int | None:
    try:
        return None if text == "none" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a number, or none") from None


def _dollars(text: str) -> float | None:
    try:
        return None if text == "none" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be an amount such as 2.50, or none") from None


def _limits_of(options: argparse.Namespace, *, budget: Mapping[str, float | None]) -> dict[str, Any]:
    """The limits that were given, as a body has them; `budget` is what there was of it."""
    given = vars(options)
    limits: dict[str, Any] = {name: given[name] for name in LIMITS if name in given}
    changed = {name.removeprefix("budget_"): given[name] for name in BUDGETS if name in given}
    return {**limits, "budget": {**budget, **changed}} if changed else limits


async def _create(options: argparse.Namespace, client: ServiceClient) -> int:
    body = {field: value for field in FIELDS if (value := getattr(options, field)) is not None}
    _show(await client.ask("POST", "keys", json=body | _limits_of(options, budget={})))
    return 0


async def _limit(options: argparse.Namespace, client: ServiceClient) -> int:
    before = await client.ask("GET", f"keys/{options.id}")
    changes = _limits_of(options, budget=before["budget"])
    after = await client.ask("PATCH", f"keys/{options.id}", json=changes) if changes else before
    for name in LIMITS:
        print(f"{name.replace('_', ' '):<20}{_amount(after[name])}")
    for period, dollars in after["budget"].items():
        print(f"{f'US dollars a {period}':<20}{_amount(dollars)}")
    return 0


def _amount(value: float | None) -> str:
    return "no limit" if value is None else f"{value:g}"


async def _list(_options: argparse.Namespace, client: ServiceClient) -> int:
    for key in (await client.ask("GET", "keys"))["keys"]:
        state = "revoked" if key["revoked_at"] else "works"
        scopes = ",".join(key["scopes"])
        print(f"{key['id']}  {state:<8}{key['tenant']:<16}{key['clearance']:<13}{scopes}  {key['name']}")
    return 0


async def _rotate(options: argparse.Namespace, client: ServiceClient) -> int:
    if not agreed(f"The secret of {options.id} ends in {options.overlap} seconds.", options=options):
        return 1
    _show(await client.ask("POST", f"keys/{options.id}/rotate", json={"overlap": options.overlap}))
    return 0


async def _revoke(options: argparse.Namespace, client: ServiceClient) -> int:
    if not agreed(f"{options.id} ends at once, and for good.", options=options):
        return 1
    await client.ask("DELETE", f"keys/{options.id}")
    print(f"{options.id} is revoked.")
    return 0


def _show(made: dict[str, Any]) -> None:
    """The key alone on the output, so that a script can take it."""
    print(f"{made['id']}: keep this key, it is not shown again.", file=sys.stderr)
    print(made["key"])
