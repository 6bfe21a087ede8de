"""Alerts of budgets: given once, signed, and delivered when the receiver takes them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime
from typing import Any

import orjson
import pytest

from app.errors import DatabaseUnavailableError
from app.records import Account, BudgetAlert, Spent, UsageBatch, UsageQuery, UsageRow
from app.services.alerts import Alerts
from app.services.webhook import Webhook
from app.utils.monitoring import Metrics

MOMENT = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
ALERT = BudgetAlert(
    account=Account("acme", "k"),
    period="day",
    begun=date(2026, 1, 31),
    percent=80,
    limit=2_000_000_000,
    spent=1_700_000_000,
)


class Receiver:
    """Answers attempts with the statuses given, then 204, and keeps what it was sent."""

    def __init__(self, *statuses: int | None) -> None:
        self._statuses = list(statuses)
        self.attempts: asyncio.Queue[tuple[bytes, Mapping[str, str]]] = asyncio.Queue()

    async def post(self, body: bytes, headers: Mapping[str, str]) -> int | None:
        self.attempts.put_nowait((body, headers))
        return self._statuses.pop(0) if self._statuses else 204


def webhook_to(receiver: Receiver, *, secret: bytes = b"s", pauses: Sequence[float] = (0, 0)) -> Webhook:
    ids = iter(range(100))
    return Webhook(
        post=receiver.post, secret=secret, clock=lambda: MOMENT, make_id=lambda: str(next(ids)), pauses=pauses
    )


@asynccontextmanager
async def at_work(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        async with asyncio.timeout(5):
            yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_is_sent_names_the_budget_and_is_signed_over_id_time_and_body() -> None:
    secret, receiver = secrets.token_bytes(32), Receiver()
    webhook = webhook_to(receiver, secret=secret)
    webhook.send(ALERT)
    async with at_work(webhook.keep_delivering()):
        body, headers = await receiver.attempts.get()
    sent = orjson.loads(body)
    assert (sent["type"], sent["timestamp"]) == ("budget.threshold_reached", MOMENT.isoformat())
    assert sent["data"] == {
        "tenant": "acme",
        "key": "k",
        "period": "day",
        "begun": "2026-01-31",
        "percent": 80,
        "budget_usd": 2.0,
        "spent_usd": 1.7,
    }
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert headers["webhook-timestamp"] == str(int(MOMENT.timestamp()))


async def test_what_is_not_taken_is_sent_again_under_its_id_and_given_up_in_the_end() -> None:
    """Three attempts for the first alert, none of which is answered with success; the next one is not held up."""
    receiver = Receiver(None, 500, 302)
    webhook = webhook_to(receiver)
    webhook.send(ALERT)
    webhook.send(ALERT)
    async with at_work(webhook.keep_delivering()):
        ids = [(await receiver.attempts.get())[1]["webhook-id"] for _ in range(4)]
    assert ids == ["msg_0"] * 3 + ["msg_1"]


class Claims:
    """A store that is away for the first `failures` claims and then gives each alert to the first who asks."""

    def __init__(self, *, failures: int = 0) -> None:
        self._failures = failures
        self._claimed: set[BudgetAlert] = set()

    async def claim_alert(self, alert: BudgetAlert) -> bool:
        if self._failures:
            self._failures -= 1
            raise DatabaseUnavailableError
        is_new = alert not in self._claimed
        self._claimed.add(alert)
        return is_new

    async def add(self, batch: UsageBatch) -> None:
        raise NotImplementedError

    async def find(self, query: UsageQuery, *, limit: int, offset: int = 0) -> list[UsageRow]:
        raise NotImplementedError

    async def read_spent(self, accounts: Sequence[Account], *, day: date) -> Mapping[Account, Spent]:
        raise NotImplementedError


@pytest.mark.parametrize("failures", [0, 1])
async def test_of_processes_that_report_the_same_one_gives_it_also_when_the_database_was_away(failures: int) -> None:
    store, receiver = Claims(failures=failures), Receiver()
    webhook = webhook_to(receiver)
    metrics = Metrics(version="1")
    processes = [Alerts(store=store, metrics=metrics, webhook=webhook) for _ in range(2)]
    for process in processes:
        process.report(ALERT)
    async with (
        at_work(processes[0].keep_giving()),
        at_work(processes[1].keep_giving()),
        at_work(webhook.keep_delivering()),
    ):
        await receiver.attempts.get()
    assert b'sluice_budget_alerts_total{percent="80",period="day",whose="key"} 1.0' in metrics.render()
    assert receiver.attempts.empty()
