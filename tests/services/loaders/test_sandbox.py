import ast
import asyncio
import os
import select
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.errors import ShuttingDownError, UnavailableError
from app.services.loaders import Limits, LoadError, ParsedDocument, Sandbox, Section
from tests.services.loaders.pdf_samples import pdf, text_page

ROOT = Path(__file__).resolve().parents[3]
UNRULY = (sys.executable, "-P", str(Path(__file__).with_name("unruly_worker.py")))
LIMITS = Limits(processor_seconds=1, seconds=20)


@pytest.fixture(name="sandbox")
async def fixture_sandbox() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(limits=LIMITS, command=UNRULY)
    yield sandbox
    await sandbox.close()


async def suffer(sandbox: Sandbox, misfortune: str, data: bytes = b"x") -> str:
    with pytest.raises(LoadError) as raised:
        await sandbox.load(data, media_type=misfortune, filename=None)
    return raised.value.code


async def facts(sandbox: Sandbox) -> dict[str, Any]:
    document = await sandbox.load(b"x", media_type="fine", filename="a.txt")
    return dict(ast.literal_eval(document.title or ""))


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return False


async def test_a_document_comes_back_as_it_was_read(sandbox: Sandbox) -> None:
    """Text of several frames, page, heading, type and warnings survive the way between the processes."""
    text = "zwölf Boxkämpfer 🥊 "
    document = await sandbox.load(text.encode(), media_type="fine", filename=None)
    assert document.sections == (Section(text=text, page=7, heading=("a", "b")), Section(text="x" * (3 << 20)))
    assert (document.media_type, document.warnings) == ("fine", ("w:1",))


async def test_the_real_worker_reads_documents() -> None:
    """Without a command of its own a sandbox runs the loaders."""
    sandbox = Sandbox()
    try:
        document = await sandbox.load(pdf(text_page("Hello.")), media_type="application/pdf", filename=None)
        with pytest.raises(LoadError) as raised:
            await sandbox.load(b"x", media_type="image/gif", filename=None)
    finally:
        await sandbox.close()
    assert document == ParsedDocument(
        title=None, media_type="application/pdf", sections=(Section(text="Hello.", page=1),)
    )
    assert raised.value.code == "unsupported"


async def test_a_process_is_kept_for_the_next_document(sandbox: Sandbox) -> None:
    """Starting costs a fraction of a second, so it is done once; a document that is refused does not change that."""
    first = await facts(sandbox)
    assert await suffer(sandbox, "refuse") == "encrypted"
    assert (await facts(sandbox))["pid"] == first["pid"]


async def test_a_process_that_has_grown_is_replaced() -> None:
    """Memory that one document took does not stay taken."""
    sandbox = Sandbox(limits=Limits(warm_bytes=100 << 20), command=UNRULY)
    try:
        first = await facts(sandbox)
        await sandbox.load(b"x", media_type="fill", filename=None)
        assert (await facts(sandbox))["pid"] != first["pid"]
    finally:
        await sandbox.close()


async def test_the_service_keeps_its_environment_to_itself(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in the service's environment are out of the reach of what a document may do to a parser."""
    monkeypatch.setenv("OPENAI_API_KEY", "unreachable")
    assert "OPENAI_API_KEY" not in (await facts(sandbox))["environment"]


@pytest.mark.parametrize(
    ("misfortune", "data", "code"),
    [
        ("loop", b"", "timeout"),
        ("allocate", b"", "too_large"),
        ("recurse", b"", "too_large"),
        ("raise", b"client text", "corrupt"),
        ("die", b"SIGKILL", "too_large"),
        ("die", b"SIGSEGV", "corrupt"),
        ("die", b"SIGABRT", "corrupt"),
    ],
)
async def test_what_kills_a_parser_fails_its_document_only(
    sandbox: Sandbox, misfortune: str, data: bytes, code: str
) -> None:
    """Endless loops, memory, deep recursion and crashes have their codes, and the next document is read."""
    assert await suffer(sandbox, misfortune, data) == code
    assert (await facts(sandbox))["filename"] == "a.txt"


async def test_waiting_has_an_end_as_well() -> None:
    """A parser that takes no processor time but never answers is ended by the clock."""
    sandbox = Sandbox(limits=Limits(seconds=0.5), command=UNRULY)
    try:
        assert await suffer(sandbox, "sleep") == "timeout"
    finally:
        await sandbox.close()


async def test_a_document_is_not_failed_for_what_an_earlier_one_did(sandbox: Sandbox) -> None:
    """When a kept process dies, the document is tried again in a new one."""
    pid = (await facts(sandbox))["pid"]
    os.kill(pid, signal.SIGKILL)
    assert (await facts(sandbox))["pid"] != pid


async def test_signals_to_the_group_do_not_end_a_document(sandbox: Sandbox) -> None:
    """An interrupt or a polite end is for the service to act on."""
    for name in (b"SIGINT", b"SIGTERM"):
        document = await sandbox.load(name, media_type="die", filename=None)
        assert document.sections[0].text == name.decode()


async def test_a_parser_can_reach_no_network_and_start_no_program_and_write_no_file(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """What only an exploit would do fails the document."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert await suffer(sandbox, "connect", str(server.getsockname()[1]).encode()) == "corrupt"
    assert await suffer(sandbox, "run") == "corrupt"
    written = tmp_path / "written"
    assert await suffer(sandbox, "write", str(written).encode()) == "corrupt"
    assert not written.exists() or written.read_bytes() == b""


async def test_what_a_parser_prints_does_not_garble_the_answer(sandbox: Sandbox) -> None:
    """Standard output belongs to the protocol."""
    assert (await sandbox.load(b"x", media_type="print", filename=None)).sections[0].text == "x"


async def test_a_cancelled_document_takes_its_process_along(sandbox: Sandbox) -> None:
    """Nobody goes on parsing what nobody waits for, and the next document gets an answer of its own."""
    pid = (await facts(sandbox))["pid"]
    task = asyncio.create_task(sandbox.load(b"x", media_type="sleep", filename=None))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_running(pid)
    assert (await facts(sandbox))["pid"] != pid


async def test_no_more_documents_are_read_at_once_than_there_are_processes() -> None:
    """The number of processes is a bound."""
    sandbox = Sandbox(processes=2, limits=LIMITS, command=UNRULY)
    try:
        found = await asyncio.gather(*(facts(sandbox) for _ in range(6)))
    finally:
        await sandbox.close()
    assert len({fact["pid"] for fact in found}) <= 2


async def test_closing_ends_all_processes_and_blames_no_document() -> None:
    """A document in work when the service stops has not failed, and none is taken after."""
    sandbox = Sandbox(limits=LIMITS, command=UNRULY)
    pid = (await facts(sandbox))["pid"]
    task = asyncio.create_task(sandbox.load(b"x", media_type="sleep", filename=None))
    await asyncio.sleep(0)
    await sandbox.close()
    with pytest.raises(ShuttingDownError):
        await task
    with pytest.raises(ShuttingDownError):
        await facts(sandbox)
    assert not is_running(pid)


async def test_a_worker_that_does_not_start_is_not_the_documents_fault() -> None:
    """A broken installation makes documents wait; it does not fail them."""
    sandbox = Sandbox(command=(sys.executable, "-c", "raise SystemExit(1)"))
    with pytest.raises(UnavailableError):
        await sandbox.load(b"x", media_type="fine", filename=None)


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff" * 8,
        (2).to_bytes(8) + b"{}",
        (7).to_bytes(8) + b"not one",
        (74).to_bytes(8) + b'{"peak": 1, "sections": [{"length": 999999999, "page": 1, "heading": []}]}',
        (66).to_bytes(8)
        + b'{"peak": 1, "sections": [{"length": 1, "page": 1, "heading": []}]}'
        + (2).to_bytes(8)
        + b"xy",
        (66).to_bytes(8)
        + b'{"peak": 1, "sections": [{"length": 1, "page": 1, "heading": []}]}'
        + (1).to_bytes(8)
        + b"\xff",
    ],
)
async def test_an_answer_out_of_form_fails_the_document(answer: bytes) -> None:
    """A process that a document has taken over can lie about the document, but not harm the service."""
    program = f"import sys; sys.stdout.buffer.write(bytes(8) + {answer!r}); sys.stdout.flush(); sys.stdin.read()"
    sandbox = Sandbox(limits=LIMITS, command=(sys.executable, "-c", program))
    try:
        assert await suffer(sandbox, "fine") in {"corrupt", "too_large"}
    finally:
        await sandbox.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells a process of its parent's death on Linux only")
async def test_a_process_ends_with_its_parent_in_the_middle_of_a_document() -> None:
    """A service that was killed leaves no parser behind."""
    program = f"""
import asyncio, sys
from app.services.loaders import Sandbox

async def main():
    sandbox = Sandbox(command={UNRULY!r})
    document = await sandbox.load(b"x", media_type="fine", filename=None)
    print(document.title, flush=True)
    await sandbox.load(b"x", media_type="sleep", filename=None)

asyncio.run(main())
"""
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert service.stdout is not None
    pid = ast.literal_eval((await service.stdout.readline()).decode())["pid"]
    parser = os.pidfd_open(pid)
    service.kill()
    await service.wait()
    ended, _, _ = await asyncio.to_thread(select.select, [parser], [], [], 10)
    os.close(parser)
    assert ended
