"""Events of AWS Lambda replayed on this machine: `python -m benchmarks.serverless`, after `make aws`.

Buffered, a fresh interpreter imports `app.serverless.handler` and answers a function URL's event, then some more.
Streamed, it serves on a port and is asked as the web adapter asks: the event's method, path, headers and body as a
request. Both count from the start of the interpreter, so the unpacking of the image, Lambda's own part of a cold start,
is not in them. The model is the built-in one, so nothing outside is waited for.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
WARM_CALLS = 20
PATIENCE_SECONDS = 120.0
SLOW = ("litellm", "chromadb", "onnxruntime", "tokenizers", "aiobotocore")

# In a process of its own: imports are a part of what is measured.
BUFFERED = f"""
import json, sys, time
from app.serverless import handler
event = json.loads(sys.stdin.read())
times, stdout = [], sys.stdout
sys.stdout = sys.stderr
for number in range({WARM_CALLS} + 1):
    event["body"] = json.dumps({{"message": f"Hello {{number}}", "model": "builtin/extractive"}})
    begun = time.perf_counter()
    answer = handler(event, None)
    assert answer["statusCode"] == 200, answer
    times.append(time.perf_counter() - begun)
    if number == 0:
        first = (time.time(), time.process_time())
slow = [name for name in {SLOW!r} if name in sys.modules]
print(json.dumps({{"first": first, "warm": times[1:], "slow": slow}}), file=stdout)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Replay events of AWS Lambda.")
    parser.add_argument("--database-url", help="the record; by default SQLite in a folder that is thrown away")
    options = parser.parse_args()
    for name, replay in (("buffered", replay_buffered), ("streamed", replay_streamed)):
        with tempfile.TemporaryDirectory() as folder:
            print(f"{name}: {replay(_environment(Path(folder), database_url=options.database_url))}")


def replay_buffered(environment: dict[str, str]) -> str:
    begun = time.time()
    done = subprocess.run(  # noqa: S603  # our own interpreter, our own program
        (sys.executable, "-c", BUFFERED),
        input=json.dumps(_event(environment)),
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    ended, processor = told["first"]
    return (
        f"cold {ended - begun:.2f} s ({processor:.2f} s of the processor), "
        f"warm {1000 * median(told['warm']):.1f} ms; slow imports: {', '.join(told['slow']) or 'none'}"
    )


def replay_streamed(environment: dict[str, str]) -> str:
    port = _free_port()
    begun = time.time()
    with _served({**environment, "PORT": str(port)}):
        _wait_for(port)
        cold = _ask(port, environment, number=0)[0] - begun
        asked = [(time.time(), *_ask(port, environment, number=number)) for number in range(1, WARM_CALLS + 1)]
    first = median(began - start for start, began, _ in asked)
    whole = median(ended - start for start, _, ended in asked)
    return (
        f"cold {cold:.2f} s to the first byte of the body, warm {1000 * first:.1f} ms, {1000 * whole:.1f} ms to the end"
    )


def _ask(port: int, environment: dict[str, str], *, number: int) -> tuple[float, float]:
    """When the first byte of the answer's body and its end arrived."""
    event = _event(environment)
    body = json.dumps({"message": f"Hello {number}", "model": "builtin/extractive", "stream": True})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    connection.request(event["requestContext"]["http"]["method"], event["rawPath"], body=body, headers=event["headers"])
    response = connection.getresponse()
    response.read(1)
    first = time.time()
    rest = response.read().decode()
    if not rest.rstrip().endswith("data: [DONE]"):
        raise RuntimeError(rest)
    connection.close()
    return first, time.time()


@contextmanager
def _served(environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(  # our own interpreter and program
        (sys.executable, "-m", "app", "serve"),
        env=environment,
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    """Ask for readiness as the web adapter does, every ten milliseconds."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", "/ready")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(0.01)
    raise TimeoutError("the service does not answer")


def _event(environment: dict[str, str]) -> dict[str, Any]:
    """A request as a function URL hands it over."""
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer {environment['ADMIN_KEY']}",
        "host": "function.lambda-url.eu-central-1.on.aws",
    }
    called = {"method": "POST", "path": "/chat", "sourceIp": "192.0.2.1", "protocol": "HTTP/1.1", "userAgent": "replay"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/chat",
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {"http": called, "stage": "$default"},
        "isBase64Encoded": False,
    }


def _environment(folder: Path, *, database_url: str | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("AWS_")}
    return {
        **kept,
        "PYTHONPATH": str(REPOSITORY),
        "SERVERLESS": "true",
        "VECTOR_STORE": "memory",
        "AUTH_REQUIRED": "true",
        "ADMIN_KEY": secrets.token_hex(16),
        "RATE_LIMIT_PER_MINUTE": "0",
        "LOG_LEVEL": "ERROR",
        "DATA_DIR": str(folder),
        **({"DATABASE_URL": database_url} if database_url else {}),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
