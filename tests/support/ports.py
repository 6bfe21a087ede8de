"""Ports on the loopback address that nothing else has."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

HOST = "127.0.0.1"


def listening_socket() -> socket.socket:
    """A bound socket on a free port, so that nobody can take the port before the server has it."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, 0))
    return bound


def free_port() -> int:
    """A port that was free a moment ago: for a process that binds it itself, or for nobody at all."""
    with listening_socket() as bound:
        return int(bound.getsockname()[1])


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port where a connection is neither accepted nor refused: whoever connects waits.

    Linux drops the handshakes that come after a listener's queue is full, and a queue of zero holds one.
    """
    with ExitStack() as opened:
        listener = opened.enter_context(listening_socket())
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(2):
            client = opened.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        yield int(address[1])
