"""`python -m app serve`: the API, served by this process or by several under it."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from app.cli import serving
from app.cli.supervisor import Supervisor
from app.config import Settings
from app.errors import ConfigurationError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

PROGRAM_FOLDER = Path(__file__).resolve().parents[2]


def add_to(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser("serve", help="serve the API", description="Serve the API until interrupted.")
    serve.add_argument("--host", help="the address to listen on (HOST)")
    serve.add_argument("--port", type=int, help="the port to listen on; 0 takes a free one (PORT)")
    serve.set_defaults(command=_serve)


def _serve(options: argparse.Namespace) -> int:
    given = {name: value for name in ("host", "port") if (value := getattr(options, name)) is not None}
    settings = Settings(**given)
    if settings.debug:
        uvicorn.run("app.main:app", host=settings.host, port=settings.port, reload=True, log_config=None)
        return 0
    return serving.serve(settings) if settings.workers == 1 else _supervise(settings)


def _supervise(settings: Settings) -> int:
    """Hold what the workers share, and keep them running; the exit status."""
    # Only this process needs them, and one that serves by itself starts without.
    from app.engine_wiring import metrics_folder, owned_data_dir, prepare_database, start_chroma  # noqa: PLC0415

    if settings.vector_store == "memory":
        raise ConfigurationError(
            "VECTOR_STORE=memory is one process's own: WORKERS must be 1, or the store chroma or pgvector."
        )
    with ExitStack() as stack:
        lock = stack.enter_context(owned_data_dir(settings))
        metrics_folder(settings).mkdir(mode=0o700)
        chroma = start_chroma(settings, stack=stack)
        listener = stack.enter_context(_listen(settings))
        asyncio.run(prepare_database(settings))
        environment = {
            **os.environ,
            "HOST": settings.host,
            "PORT": str(listener.getsockname()[1]),
            "PROMETHEUS_MULTIPROC_DIR": str(metrics_folder(settings).resolve()),
            **({"CHROMA_URL": chroma.url} if chroma else {}),
        }

        def launch(*, leads: bool) -> subprocess.Popen[bytes]:
            arguments = (str(listener.fileno()), str(os.getpid()), "leads" if leads else "follows")
            return subprocess.Popen(  # noqa: S603  # our own interpreter, our own arguments
                (sys.executable, "-m", "app.cli.serving", *arguments),
                env=environment | {"PYTHONPATH": _import_path()},
                stdin=subprocess.DEVNULL,
                pass_fds=(listener.fileno(), lock),
            )

        return Supervisor(
            settings.workers, launch=launch, metrics=metrics_folder(settings), revive=chroma.revive if chroma else None
        ).run()


def _listen(settings: Settings) -> socket.socket:
    """The socket that all workers accept from; it outlives each of them, so that what waits in it is not lost."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
    except OSError:
        listener.close()
        raise ConfigurationError(f"PORT={settings.port} at HOST={settings.host} cannot be listened on.") from None
    return listener


def _import_path() -> str:
    """Where this package is, whatever directory the service was started in."""
    return os.pathsep.join(filter(None, (str(PROGRAM_FOLDER), os.environ.get("PYTHONPATH"))))
