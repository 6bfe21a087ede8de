"""What becomes of each file of a folder, and the memory that takes."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.ingestion.service import Service, serving, watch_memory


async def measure_files(folder: Path) -> None:
    """Upload every file of the folder, each by itself and one after the other, and print how it ended."""
    with tempfile.TemporaryDirectory() as directory:
        async with serving(Path(directory)) as service:
            peaks: dict[str, int] = {}
            watch = asyncio.create_task(watch_memory(service.pid, peaks=peaks))
            ends = Counter([await _ingest(service, path) for path in await asyncio.to_thread(_files, folder)])
            watch.cancel()
            lag = await service.lag()
    print(", ".join(f"{count} {end}" for end, count in ends.most_common()))
    print(f"peak memory: {', '.join(f'{name} {peak >> 20} MB' for name, peak in sorted(peaks.items()))}")
    print(lag)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


async def _ingest(service: Service, path: Path) -> str:
    form = aiohttp.FormData()
    form.add_field("files", await asyncio.to_thread(path.read_bytes), filename=path.name)
    async with service.client.post("/documents?wait=true", data=form) as response:
        answer = await response.json()
    if "error" in answer:
        end, details = f"{response.status} {answer['error']['code']}", ""
    else:
        end, details = _describe(answer["documents"][0])
    print(f"  {path.name:<40} {end:<24} {details}")
    return end


def _describe(document: Mapping[str, Any]) -> tuple[str, str]:
    error = document.get("error")
    warnings = Counter(warning.partition(":")[0] for warning in document.get("warnings") or ())
    details = f"{document['chunks']} chunks" + "".join(f", {count} {name}" for name, count in warnings.items())
    return (error["code"], "") if error else (document["status"], details)
