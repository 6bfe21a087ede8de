"""A program with the outside of the gateway: it reads HOST and PORT, logs a line and answers `GET /ready`."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, HTTPServer


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/ready" else 404)
        self.send_header("content-length", "0")
        self.end_headers()


if __name__ == "__main__":
    if "FAIL" in os.environ:
        raise SystemExit("no such model")
    print("serving", os.environ["DATA_DIR"], os.environ.get("SECRET_OF_THE_DEVELOPER"), flush=True)  # noqa: T201  # a program's output is what is tested
    HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Ready).serve_forever()
