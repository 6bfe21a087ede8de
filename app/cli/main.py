"""The commands, their options, and what they call."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence

import uvicorn
from pydantic import ValidationError

from app.cli import audit, documents, keys, policy, upkeep
from app.config import Settings
from app.errors import ConfigurationError

DESCRIPTION = "Sluice: one gateway in front of cloud and local models. Settings come from the environment and .env."
# Compose and Kubernetes wait 30 seconds before they kill; the rest is for closing the stores.
DRAIN_SECONDS = 25
# Longer than proxies and clients keep idle connections (nginx: 60), so that none is closed under a request.
KEEP_ALIVE_SECONDS = 75
LARGEST_FRAME = 4 * 1024 * 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the process's exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except ConfigurationError as error:
        print(f"Sluice does not start: {error}", file=sys.stderr)
    except ValidationError as error:
        for failure in error.errors(include_url=False, include_input=False):
            name = "_".join(str(step) for step in failure["loc"]).upper()
            print(f"Sluice does not start: {name}: {failure['msg']}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description=DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve the API", description="Serve the API until interrupted.")
    serve.add_argument("--host", help="the address to listen on (HOST)")
    serve.add_argument("--port", type=int, help="the port to listen on; 0 takes a free one (PORT)")
    serve.set_defaults(command=_serve)
    audit.add_to(commands)
    policy.add_to(commands)
    documents.add_to(commands)
    keys.add_to(commands)
    upkeep.add_to(commands)
    return parser


def _serve(options: argparse.Namespace) -> int:
    given = {name: value for name in ("host", "port") if (value := getattr(options, name)) is not None}
    settings = Settings(**given)
    if settings.debug:
        uvicorn.run("app.main:app", host=settings.host, port=settings.port, reload=True, log_config=None)
        return 0
    from app.main import create_app  # noqa: PLC0415  (`--help` need not wait for the whole service to be imported)

    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            ws_max_size=LARGEST_FRAME,
            proxy_headers=False,  # whoever sits in front is the address that is counted: a header can say anything
            server_header=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
    )
    with contextlib.suppress(KeyboardInterrupt):  # how uvicorn says that it was interrupted, after it has drained
        server.run()
    return 0 if server.started else 1
