"""Load by wrk: requests of one kind over keep-alive connections, counted and timed."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# `UNIQUE` in the body becomes a word that no other request of any run has, so that a cache never answers it.
SCRIPT = """
local body = [==[%(body)s]==]
local unique = %(unique)s
local count = 0
local run = %(run)d
local thread_number = 0
function setup(thread) thread:set("number", thread_number); thread_number = thread_number + 1 end
wrk.method = "POST"
%(headers)s
function init(args) fixed = wrk.format("POST", "%(path)s", nil, body) end
function request()
  if not unique then return fixed end
  count = count + 1
  local word = string.format("u%%dx%%dx%%d", run, number, count)
  return wrk.format("POST", "%(path)s", nil, (body:gsub("UNIQUE", word)))
end
function done(summary, latency, requests)
  io.write("RESULT " .. string.format(
    '{"requests": %%d, "seconds": %%f, "errors": %%d, "p50": %%f, "p90": %%f, "p99": %%f}\\n',
    summary.requests, summary.duration / 1e6,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked: a JSON body (with `UNIQUE` in it where no two may be alike), by how many connections at once."""

    path: str
    body: str
    headers: Mapping[str, str]
    connections: int

    @property
    def unique(self) -> bool:
        return "UNIQUE" in self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of it; latencies in milliseconds. Failed requests are among `requests`."""

    requests: int
    errors: int
    seconds: float
    p50: float
    p90: float
    p99: float


async def drive(load: Load, *, port: int, seconds: float, run: int, directory: Path) -> Outcome:
    """Ask for `seconds`; `run` makes the words of this run differ from those of every other."""
    script = directory / "load.lua"
    script.write_text(_script(load, run=run))
    process = await asyncio.create_subprocess_exec(
        shutil.which("wrk") or "wrk",
        *("--threads", "1", "--connections", str(load.connections), "--duration", f"{seconds:.0f}s"),
        *("--timeout", "60s", "--script", str(script), f"http://127.0.0.1:{port}{load.path}"),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    line = next(line for line in printed.decode().splitlines() if line.startswith("RESULT "))
    return Outcome(**json.loads(line.removeprefix("RESULT ")))


def _script(load: Load, *, run: int) -> str:
    headers = {"content-type": "application/json", **load.headers}
    return SCRIPT % {
        "body": load.body,
        "unique": "true" if load.unique else "false",
        "run": run,
        "path": load.path,
        "headers": "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()),
    }
