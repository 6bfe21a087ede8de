"""DynamoDB's API over HTTP, as moto's server stands in for it, in an environment of its own."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from tests.support.ports import HOST, free_port

FOLDER = Path(__file__).resolve().parent.parent / "aws"
PYTHON = FOLDER / ".environment" / "bin" / "python"
START_SECONDS = 30.0
REGION = "eu-central-1"


class DynamoServer:
    """A server that has run since it was made; each `url` is of a table that nobody has used."""

    def __init__(self) -> None:
        self.port = free_port()
        self._names = count(1)
        self._process = subprocess.Popen(
            (str(PYTHON), str(FOLDER / "serve.py"), str(self.port)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "MOTO_ENABLE_ISO_REGIONS": "false"},
        )

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    def url(self) -> str:
        """The address of a new table."""
        return f"dynamodb://sluice-{next(self._names)}?region={REGION}&endpoint={self.endpoint}"

    def wait(self) -> None:
        """Return once it answers."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with suppress(OSError), urllib.request.urlopen(f"{self.endpoint}/moto-api/", timeout=1):
                return
            time.sleep(0.05)
        raise TimeoutError("moto's server does not answer")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def credentials() -> dict[str, str]:
    """What a client of the server signs with: made up, and nobody checks it."""
    return {"AWS_ACCESS_KEY_ID": secrets.token_hex(10), "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20)}


@contextmanager
def dynamo_server() -> Iterator[DynamoServer]:
    server = DynamoServer()
    try:
        server.wait()
        yield server
    finally:
        server.stop()
