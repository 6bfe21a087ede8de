"""Alerts of budgets: a log line, a count and a webhook, once for each threshold and period over all processes."""

from __future__ import annotations

import asyncio
import logging

from app.errors import SluiceError
from app.protocols import UsageStore
from app.records import BudgetAlert
from app.services.webhook import Webhook
from app.utils.instruments import BUDGET_ALERTS
from app.utils.monitoring import Metrics

logger = logging.getLogger(__name__)

# While the database is away nobody knows whether another process has given the alert.
SECONDS_BETWEEN_CLAIMS = 1.0


class Alerts:
    """Takes alerts from the request's path without waiting, and gives those that no other process has given."""

    def __init__(self, *, store: UsageStore, metrics: Metrics, webhook: Webhook | None) -> None:
        self._store = store
        self._count = metrics.counter(BUDGET_ALERTS)
        self._webhook = webhook
        self._waiting: asyncio.Queue[BudgetAlert] = asyncio.Queue()

    def report(self, alert: BudgetAlert) -> None:
        """Leave an alert to be given. There are few: a threshold is passed once in a period."""
        self._waiting.put_nowait(alert)

    async def keep_giving(self) -> None:
        """Give what is reported, for ever."""
        while True:
            alert = await self._waiting.get()
            if await self._claim(alert):
                self._give(alert)

    async def keep_delivering(self) -> None:
        """Send what was given to the webhook, for ever."""
        if self._webhook is not None:
            await self._webhook.keep_delivering()

    async def _claim(self, alert: BudgetAlert) -> bool:
        """Whether it is this process's to give; asked until the database can tell."""
        while True:
            try:
                return await self._store.claim_alert(alert)
            except SluiceError:
                await asyncio.sleep(SECONDS_BETWEEN_CLAIMS)

    def _give(self, alert: BudgetAlert) -> None:
        account = alert.account
        whose = "tenant" if account.key_id is None else "key"
        self._count.of(whose, alert.period, str(alert.percent)).inc()
        logger.warning(
            "budget",
            extra={
                "tenant": account.tenant,
                "key": account.key_id,
                "period": alert.period,
                "percent": alert.percent,
            },
        )
        if self._webhook is not None:
            self._webhook.send(alert)
