"""The commands, their options, and what they call."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from app.cli import audit, documents, keys, policy, serve, upkeep, usage, workers
from app.errors import ConfigurationError

DESCRIPTION = "Sluice: one gateway in front of cloud and local models. Settings come from the environment and .env."

# Those that start a service; what goes wrong with any other is its own.
STARTING = frozenset({"serve", "worker"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the process's exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except ConfigurationError as error:
        print(f"{_complaint(options)}: {error}", file=sys.stderr)
    except ValidationError as error:
        for failure in error.errors(include_url=False, include_input=False):
            name = "_".join(str(step) for step in failure["loc"]).upper()
            print(f"{_complaint(options)}: {name}: {failure['msg']}", file=sys.stderr)
    return 2


def _complaint(options: argparse.Namespace) -> str:
    return "Sluice does not start" if options.subcommand in STARTING else f"python -m app {options.subcommand}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description=DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="subcommand")
    serve.add_to(commands)
    workers.add_to(commands)
    audit.add_to(commands)
    policy.add_to(commands)
    documents.add_to(commands)
    keys.add_to(commands)
    usage.add_to(commands)
    upkeep.add_to(commands)
    return parser
