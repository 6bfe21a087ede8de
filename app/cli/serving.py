"""One process that serves: on its own, or as a worker under a supervisor.

Run as a program, this module is a worker: `python -m app.cli.serving SOCKET PARENT leads|follows`.
"""

from __future__ import annotations

import contextlib
import gc
import socket
import sys
from typing import TYPE_CHECKING, Any

import uvicorn

from app.config import Settings
from app.utils.logging import log_uncaught
from app.utils.processes import die_with

if TYPE_CHECKING:
    from types import FrameType

    from fastapi import FastAPI

# Compose and Kubernetes wait 30 seconds before they kill; the rest is for closing the stores.
DRAIN_SECONDS = 25
# Longer than proxies and clients keep idle connections (nginx: 60), so that none is closed under a request.
KEEP_ALIVE_SECONDS = 75
# How many objects may be made before the newest are looked through for garbage; a request makes a few hundred that stay
# until its end.
NEW_OBJECTS = 20_000
LARGEST_FRAME = 4 * 1024 * 1024
# How long a thread that reads or cuts a document may keep the interpreter from the event loop, at each of the turns
# that a search takes. Python's own choice is five times as much.
SWITCH_SECONDS = 0.001


class Server(uvicorn.Server):
    """Says that it is not ready as soon as it is told to stop, while running requests go on to their end."""

    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What is there now stays: hundreds of thousands of objects that need not be looked through again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(NEW_OBJECTS)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.state.stopping = True
        super().handle_exit(sig, frame)


def serve(settings: Settings, *, listener: socket.socket | None = None, leads: bool = True) -> int:
    """Serve until interrupted; the exit status.

    A `listener` is shared with other workers, and so is the data directory, which a parent then holds.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    # `--help` need not wait for the whole service to be imported.
    from app.engine_wiring import ALONE, ProcessRole  # noqa: PLC0415
    from app.main import create_app  # noqa: PLC0415

    log_uncaught()
    app = create_app(settings, role=ALONE if listener is None else ProcessRole(owns=False, leads=leads))
    server = Server(app, configure(app, settings))
    with contextlib.suppress(KeyboardInterrupt):  # how uvicorn says that it was interrupted, after it has drained
        server.run(sockets=None if listener is None else [listener])
    return 0 if server.started else 1


def configure(app: Any, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
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


if __name__ == "__main__":
    die_with(int(sys.argv[2]))
    sys.exit(serve(Settings(), listener=socket.socket(fileno=int(sys.argv[1])), leads=sys.argv[3] == "leads"))
