"""Settings to enforcement: what labels requests, remembers what was said, takes values out, and records it all."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from string import ascii_lowercase

from app.config import Settings
from app.protocols import AuditTrail, Clock, EchoStore
from app.services.audit import Audit
from app.services.echoes import Echoes
from app.services.labels import Labeller
from app.services.policy import PolicyFile
from app.services.redaction import Redactor
from app.stores.audit_files import AUDIT_FOLDER, AuditFiles
from app.stores.audit_stream import AuditStream

# How often to look whether the policy file has changed, whether another process has remembered something, and whether
# answers have run out.
POLICY_SECONDS = 1.0
ECHO_SECONDS = 1.0
FORGET_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforcement:
    """What decides which label a text has, and what is kept of that decision."""

    policies: PolicyFile
    echoes: Echoes
    labeller: Labeller
    redactor: Redactor
    audit: Audit


@asynccontextmanager
async def open_enforcement(
    settings: Settings, *, echo_store: EchoStore, secret: bytes, clock: Clock, shared: bool
) -> AsyncIterator[Enforcement]:
    """Read the policy and what was said so far, and keep both fresh until the end.

    What is serverless keeps no files and nothing fresh: records go to standard output, every look-up asks the store.
    `shared` says that other processes write to the store of what was said: each must know the others' answers at once.

    Raises `ConfigurationError` for a policy file that cannot be read.
    """
    policies = PolicyFile(settings.policy_file)
    files = AuditFiles(settings.data_dir / AUDIT_FOLDER, clock=clock)
    trail: AuditTrail = AuditStream() if settings.serverless else files
    echoes = Echoes(store=echo_store, secret=secret, clock=clock, shared=shared or settings.serverless)
    labeller = Labeller(policies=policies, echoes=echoes, uninspected=settings.uninspected_label)
    redactor = Redactor(
        labeller=labeller,
        policies=policies,
        labels=frozenset(settings.redact),
        make_nonce=_make_nonce,
    )
    await echoes.catch_up()
    async with AsyncExitStack() as stack:
        if not settings.serverless:
            stack.push_async_callback(files.close)
            for work in (
                files.write(),
                echoes.keep_fresh(every=ECHO_SECONDS, forget_every=FORGET_SECONDS),
                policies.follow(every=POLICY_SECONDS),
            ):
                stack.push_async_callback(_stop, asyncio.create_task(work))
            _reload_on_hangup(stack, policies)
        yield Enforcement(
            policies=policies,
            echoes=echoes,
            labeller=labeller,
            redactor=redactor,
            audit=Audit(trail=trail, secret=secret, clock=clock),
        )


def enforcement_fingerprint(settings: Settings) -> str:
    """A digest of the settings that decide where a request may go and which passages it may see."""
    redacted = ",".join(label.word for label in sorted(settings.redact))
    rules = (settings.cloud_clearance.word, settings.uninspected_label.word, settings.on_denied, redacted)
    return hashlib.sha256("\n".join(rules).encode()).hexdigest()


def _reload_on_hangup(stack: AsyncExitStack, policies: PolicyFile) -> None:
    """Where there is such a signal and this thread may listen to it."""
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError, RuntimeError, ValueError):
        loop.add_signal_handler(signal.SIGHUP, policies.ask_reload)
        stack.callback(loop.remove_signal_handler, signal.SIGHUP)


def _make_nonce() -> str:
    """Six letters: digits could make a number with what stands before them."""
    return "".join(secrets.choice(ascii_lowercase) for _ in range(6))


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
