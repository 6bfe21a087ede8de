"""moto's stand-in for AWS over HTTP: `serve.py PORT`, run by the Python of the environment beside this file.

One request at a time: DynamoDB's writes to an item come one after the other, moto's in threads of their own do not.
"""

from __future__ import annotations

import copy
import sys
from types import SimpleNamespace
from typing import Any

from moto.dynamodb import models
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple


class QuietRequestHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing of requests."""


def copy_tables_once() -> None:
    """Moto copies the table anew for each of a transaction's writes before it does the first; one copy is the same."""
    copies: dict[int, Any] = {}
    transact = models.DynamoDBBackend.transact_write_items

    def deepcopy(value: Any) -> Any:
        if not isinstance(value, models.Table):
            return copy.deepcopy(value)
        if id(value) not in copies:
            copies[id(value)] = copy.deepcopy(value)
        return copies[id(value)]

    def transact_write_items(backend: Any, writes: Any) -> None:
        copies.clear()
        transact(backend, writes)

    models.copy = SimpleNamespace(deepcopy=deepcopy, copy=copy.copy)
    models.DynamoDBBackend.transact_write_items = transact_write_items


if __name__ == "__main__":
    copy_tables_once()
    application = DomainDispatcherApplication(create_backend_app)
    run_simple("127.0.0.1", int(sys.argv[1]), application, request_handler=QuietRequestHandler)
