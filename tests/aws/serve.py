"""moto's stand-in for AWS over HTTP: `serve.py PORT`, run by the Python of the environment beside this file.

One request at a time: DynamoDB's writes to an item come one after the other, moto's in threads of their own do not.
"""

from __future__ import annotations

import sys

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple


class QuietRequestHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing of requests."""


if __name__ == "__main__":
    application = DomainDispatcherApplication(create_backend_app)
    run_simple("127.0.0.1", int(sys.argv[1]), application, request_handler=QuietRequestHandler)
