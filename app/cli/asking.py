"""What the commands that speak to a service share: the connection, a refusal in words, and a question before harm."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from app.cli.client import RefusedError, ServiceClient, connect

Command = Callable[[argparse.Namespace, ServiceClient], Coroutine[Any, Any, int]]


def over_http(run: Command) -> Callable[[argparse.Namespace], int]:
    """The command with a client of the running service; a refusal is printed, and the exit status is then 1."""

    async def connected(options: argparse.Namespace) -> int:
        async with connect() as client:
            try:
                return await run(options, client)
            except RefusedError as error:
                print(f"Refused: {error.message} ({error.code})", file=sys.stderr)
                return 1

    return lambda options: asyncio.run(connected(options))


def add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask")


def agreed(consequence: str, *, options: argparse.Namespace, ask: Callable[[str], str] = input) -> bool:
    """Whether to go on: `--yes` says so, or who is asked; where nobody is there to be asked, no."""
    if options.yes:
        return True
    try:
        answer = ask(f"{consequence} Go on? [y/N] ")
    except EOFError:
        print("\nNobody answered. Say --yes to do it.", file=sys.stderr)
        return False
    if answer.strip().lower() in ("y", "yes"):
        return True
    print("Nothing was changed.", file=sys.stderr)
    return False
