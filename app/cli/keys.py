"""`python -m app keys`: make, list, rotate and revoke the API keys of a running service."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from app.cli.client import RefusedError, ServiceClient, connect
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
    "requests_per_minute",
    "tokens_per_minute",
    "concurrent_streams",
    "semantic_cache",
    "expires_at",
)

Command = Callable[[argparse.Namespace, ServiceClient], Coroutine[Any, Any, int]]


def add_to(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    keys = commands.add_parser(
        "keys",
        help="make, list, rotate and revoke API keys",
        description="Speak to the service at SLUICE_URL with the key in SLUICE_API_KEY; to the one of HOST and PORT "
        "without both, with ADMIN_KEY.",
    )
    actions = keys.add_subparsers(required=True, metavar="ACTION")
    _add_create(actions)
    listing = actions.add_parser("list", help="list keys, without their secrets")
    listing.set_defaults(command=_runner(_list))
    rotate = actions.add_parser("rotate", help="give a key a new secret")
    rotate.add_argument("id")
    rotate.add_argument("--overlap", type=int, default=0, help="seconds for which the old secret stays good; 0")
    revoke = actions.add_parser("revoke", help="end a key, everywhere within half a second")
    revoke.add_argument("id")
    for action, run in ((rotate, _rotate), (revoke, _revoke)):
        action.add_argument("--yes", action="store_true", help="do not ask")
        action.set_defaults(command=_runner(run))


def _add_create(actions: _SubParsersAction[argparse.ArgumentParser]) -> None:
    create = actions.add_parser("create", help="make a key and print it, once")
    create.add_argument("name")
    create.add_argument("--tenant")
    create.add_argument("--owner", help="the user whose key it is")
    create.add_argument("--clearance", choices=LABELS, help="the highest label it may read")
    create.add_argument("--label-floor", choices=LABELS, help="the lowest label of what it sends")
    create.add_argument("--scope", dest="scopes", action="append", choices=[scope.value for scope in Scope])
    create.add_argument("--model", dest="models", action="append", help="provider/name or provider/*; may be repeated")
    create.add_argument("--requests-per-minute", type=int)
    create.add_argument("--tokens-per-minute", type=int)
    create.add_argument("--concurrent-streams", type=int)
    create.add_argument(
        "--semantic-cache", action="store_true", default=None, help="allow for cached answers to other wordings"
    )
    create.add_argument("--expires-at", help="a time with its zone, such as 2030-01-31T00:00:00+00:00")
    create.set_defaults(command=_runner(_create))


def _runner(run: Command) -> Callable[[argparse.Namespace], int]:
    async def connected(options: argparse.Namespace) -> int:
        async with connect() as client:
            try:
                return await run(options, client)
            except RefusedError as error:
                print(f"Refused: {error.message} ({error.code})", file=sys.stderr)
                return 1

    return lambda options: asyncio.run(connected(options))


async def _create(options: argparse.Namespace, client: ServiceClient) -> int:
    body = {field: value for field in FIELDS if (value := getattr(options, field)) is not None}
    _show(await client.ask("POST", "keys", json=body))
    return 0


async def _list(_options: argparse.Namespace, client: ServiceClient) -> int:
    for key in (await client.ask("GET", "keys"))["keys"]:
        state = "revoked" if key["revoked_at"] else "works"
        scopes = ",".join(key["scopes"])
        print(f"{key['id']}  {state:<8}{key['tenant']:<16}{key['clearance']:<13}{scopes}  {key['name']}")
    return 0


async def _rotate(options: argparse.Namespace, client: ServiceClient) -> int:
    if not _confirmed(options, f"The secret of {options.id} ends in {options.overlap} seconds."):
        return 1
    _show(await client.ask("POST", f"keys/{options.id}/rotate", json={"overlap": options.overlap}))
    return 0


async def _revoke(options: argparse.Namespace, client: ServiceClient) -> int:
    if not _confirmed(options, f"{options.id} ends at once, and for good."):
        return 1
    await client.ask("DELETE", f"keys/{options.id}")
    print(f"{options.id} is revoked.")
    return 0


def _show(made: dict[str, Any]) -> None:
    """The key alone on the output, so that a script can take it."""
    print(f"{made['id']}: keep this key, it is not shown again.", file=sys.stderr)
    print(made["key"])


def _confirmed(options: argparse.Namespace, consequence: str) -> bool:
    """Whether to go on; nobody is there to be asked where the input is not a terminal."""
    if options.yes:
        return True
    if not sys.stdin.isatty():
        print(f"{consequence} Say --yes to do it.", file=sys.stderr)
        return False
    return input(f"{consequence} Go on? [y/N] ").strip().lower() == "y"
