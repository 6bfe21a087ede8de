"""A Chroma server of our own: a child of this process that ends with it.

Chroma inside this process would hold the interpreter's lock while it writes: beside an ingestion the event loop stands
still for 0.4 s at the 99th percentile, with a server for 0.02 s.

Run as a program, this module becomes the server: `python -m app.stores.chroma_server FOLDER PORT PARENT`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from app.errors import ConfigurationError
from app.utils.locks import lock_for_life, locked
from app.utils.processes import die_with

HOST: Final = "127.0.0.1"
LOCK_FILE: Final = ".server.lock"
# A server whose parent was killed is gone in milliseconds.
LOCK_SECONDS: Final = 10.0
END_SECONDS: Final = 10.0
# What Chroma's own command comes to. That one also imports the client, which takes a second and 75 MB.
PROGRAM: Final = "import sys, chromadb_rust_bindings; chromadb_rust_bindings.cli(sys.argv)"


class ChromaServer:
    """The child process. Started in the thread whose end ends it: that of the event loop."""

    def __init__(self, folder: Path, *, lock: ExitStack) -> None:
        """`lock` holds the folder and is closed at the end."""
        self._lock = lock
        self._folder = folder
        self._port = _free_port()
        self._process = self._launch()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    def _launch(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  # our own interpreter, our own arguments
            (sys.executable, "-m", __name__, str(self._folder.resolve()), str(self._port), str(os.getpid())),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
            env=_environment(os.environ),
            process_group=0,  # an interrupt from the terminal is for the parent, which ends the child last
        )

    @classmethod
    def start(cls, folder: Path) -> ChromaServer:
        """Start a server, without waiting for it; raises `ConfigurationError` if another process has the folder."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ExitStack() as lock:
            try:
                lock.enter_context(locked(folder))
            except BlockingIOError:
                raise ConfigurationError(
                    f"CHROMA_PATH={folder} is in use by another process. "
                    "Stop it, or set CHROMA_URL to a Chroma server for both."
                ) from None
            return cls(folder, lock=lock.pop_all())

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def revive(self) -> bool:
        """Start it again at the same address if it has ended; whether that was so."""
        if self.running:
            return False
        self._process = self._launch()
        return True

    def close(self) -> None:
        """End it; what it has acknowledged is on the disk."""
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._lock.close()


def become_server(folder: Path, *, port: int, parent: int) -> None:
    """Turn this process into the server of a folder, once nobody else serves it; it dies with its parent."""
    die_with(parent)
    try:
        # Two servers of one folder lose vectors.
        lock_for_life(folder / LOCK_FILE, patience=LOCK_SECONDS)
    except BlockingIOError:
        sys.exit(1)
    arguments = ("run", "--path", str(folder), "--host", HOST, "--port", str(port))
    os.execv(sys.executable, (sys.executable, "-c", PROGRAM, *arguments))  # noqa: S606  # our own arguments, no shell


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a process needs to run, and nothing that would configure Chroma or is a secret."""
    kept = {name: environment[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in environment}
    return {**kept, "ANONYMIZED_TELEMETRY": "False"}


if __name__ == "__main__":
    become_server(Path(sys.argv[1]), port=int(sys.argv[2]), parent=int(sys.argv[3]))
