"""A real Prometheus server that scrapes a service every half second."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

from app.models import JSONValue
from tests.support.ports import HOST, free_port

EXECUTABLE = shutil.which("prometheus")
PATIENCE = 30.0
POLL_SECONDS = 0.1
EVERY = "500ms"


class PrometheusServer:
    """Scrapes the target as the job `sluice`, and evaluates the rules of a file, if there is one."""

    def __init__(self, directory: Path, *, target: str, rules: Path | None = None) -> None:
        self._directory = directory
        self._port = free_port()
        self._process: Process | None = None
        config: Mapping[str, JSONValue] = {
            "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
            "rule_files": [] if rules is None else [str(rules)],
            "scrape_configs": [{"job_name": "sluice", "static_configs": [{"targets": [target]}]}],
        }
        self._config = directory / "prometheus.yml"
        self._config.write_text(yaml.safe_dump(config))

    async def query(self, expression: str) -> list[Any]:
        """The instant vector that the expression has now; raises `ValueError` with what Prometheus says is wrong."""
        answer = await self._get("/api/v1/query", query=expression)
        if answer["status"] != "success" or answer["data"]["resultType"] != "vector":
            raise ValueError(f"{expression}: {answer.get('error', answer)}")
        result: list[Any] = answer["data"]["result"]
        return result

    async def value(self, expression: str) -> float:
        """The only value of the expression; not a number where there is none."""
        found = await self.query(expression)
        return float(found[0]["value"][1]) if len(found) == 1 else float("nan")

    async def reach(self, expression: str, value: float) -> None:
        """Return once the expression has this value; `TimeoutError` with the last one if it does not come to that."""
        seen = float("nan")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while (seen := await self.value(expression)) != value:  # noqa: ASYNC110  (another process)
                    await asyncio.sleep(POLL_SECONDS)
                return
        raise TimeoutError(f"{expression} is {seen} and not {value}")

    async def scrape(self, *, times: int) -> None:
        """Return once it has scraped so many times more."""
        await self.reach("count_over_time(up[1h])", await self.value("count_over_time(up[1h])") + times)

    async def fire(self, alert: str) -> Mapping[str, str]:
        """The labels of the alert once it fires."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for each in (await self._get("/api/v1/alerts"))["data"]["alerts"]:
                    if each["labels"]["alertname"] == alert and each["state"] == "firing":
                        labels: Mapping[str, str] = each["labels"]
                        return labels
                await asyncio.sleep(POLL_SECONDS)

    async def __aenter__(self) -> Self:
        if EXECUTABLE is None:
            raise FileNotFoundError("prometheus is not installed")
        self._client = aiohttp.ClientSession(f"http://{HOST}:{self._port}")
        with (self._directory / "prometheus.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                EXECUTABLE,
                f"--config.file={self._config}",
                f"--storage.tsdb.path={self._directory / 'series'}",
                f"--web.listen-address={HOST}:{self._port}",
                "--log.level=warn",
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
            )
        async with asyncio.timeout(PATIENCE):
            while not await self._is_ready():  # noqa: ASYNC110  (another process)
                await asyncio.sleep(POLL_SECONDS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _is_ready(self) -> bool:
        try:
            async with self._client.get("/-/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def _get(self, path: str, **parameters: str) -> Any:
        async with self._client.get(path, params=parameters) as response:
            return await response.json()
