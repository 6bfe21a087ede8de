"""Audit files: appended in order, rotated by size, bounded in number, readable whatever happened."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.stores.audit_files import AuditFiles, read_audit


class Ticking:
    """A clock that goes on a second with each look at it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def paths_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def numbered(clock: Ticking, number: int) -> dict[str, str | int]:
    return {"time": clock().isoformat(), "number": number}


async def test_records_are_read_in_the_order_of_their_time_over_all_files(tmp_path: Path) -> None:
    clock = Ticking()
    files = [AuditFiles(tmp_path, clock=clock, largest_file=200) for _ in range(2)]
    for number in range(30):
        files[number % 2].append(numbered(clock, number))
        await files[number % 2].flush()
    for each in files:
        await each.close()
    assert [record["number"] for record in read_audit(tmp_path)] == list(range(30))
    assert len(paths_in(tmp_path)) > 2


async def test_only_so_many_files_are_kept(tmp_path: Path) -> None:
    clock = Ticking()
    files = AuditFiles(tmp_path, clock=clock, largest_file=1, files_kept=3)
    for number in range(10):
        files.append(numbered(clock, number))
        await files.flush()
    await files.close()
    assert [record["number"] for record in read_audit(tmp_path)] == [7, 8, 9]


async def test_a_process_whose_file_was_given_up_by_another_goes_on_in_a_new_one(tmp_path: Path) -> None:
    clock = Ticking()
    files = AuditFiles(tmp_path, clock=clock)
    files.append(numbered(clock, 0))
    await files.flush()
    for path in paths_in(tmp_path):
        path.unlink()
    files.append(numbered(clock, 1))
    await files.close()
    assert [record["number"] for record in read_audit(tmp_path)] == [1]


async def test_a_line_that_a_kill_has_cut_is_left_out(tmp_path: Path) -> None:
    clock = Ticking()
    files = AuditFiles(tmp_path, clock=clock)
    for number in range(2):
        files.append(numbered(clock, number))
    await files.close()
    [path] = paths_in(tmp_path)
    os.truncate(path, path.stat().st_size - 5)
    assert [record["number"] for record in read_audit(tmp_path)] == [0]


async def test_what_cannot_be_written_is_kept_for_later_and_said_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Ticking()
    folder = tmp_path / "audit"
    folder.write_text("in the way")
    files = AuditFiles(folder, clock=clock)
    files.append(numbered(clock, 0))
    await files.flush()
    assert [record.message for record in caplog.records] == ["audit not written"]
    folder.unlink()
    files.append(numbered(clock, 1))
    await files.close()
    assert [record["number"] for record in read_audit(folder)] == [0, 1]


async def test_a_record_is_on_disk_within_200_ms(tmp_path: Path) -> None:
    files = AuditFiles(tmp_path, clock=Ticking())
    writing = asyncio.create_task(files.write())
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    began = loop.time()
    files.append({"time": "2026", "number": 1})
    while not list(read_audit(tmp_path)):  # noqa: ASYNC110  # a thread writes it
        await asyncio.sleep(0.005)
    assert loop.time() - began < 0.2
    writing.cancel()
    await asyncio.wait({writing})
    await files.close()
