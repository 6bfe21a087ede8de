"""Budgets: what other processes spend is looked up again in time to matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from app.errors import BudgetExceededError, DatabaseUnavailableError
from app.models import Budget, Caller, Label, Locality, Model, Price, Usage
from app.records import Account, BudgetAlert, Spent, UsageBatch, UsageQuery, UsageRow
from app.services.budgets import LOOK_AGAIN, Budgets
from app.services.usage import NANODOLLARS, Ledger

CALLER = Caller(tenant="acme", key_id="k", budget=Budget(day=10.0))
MODEL = Model(
    provider="of", name="m", locality=Locality.CLOUD, clearance=Label.PUBLIC, price=Price(prompt=1.0, completion=0.0)
)
CALL = Usage(prompt_tokens=1)


class Others:
    """A store in which other processes have spent `dollars`, and which may be `away`."""

    def __init__(self) -> None:
        self.dollars = 0
        self.away = False
        self.reads = 0

    async def read_spent(self, accounts: Sequence[Account], *, day: date) -> Mapping[Account, Spent]:
        self.reads += 1
        if self.away:
            raise DatabaseUnavailableError
        return dict.fromkeys(accounts, Spent(self.dollars * NANODOLLARS, self.dollars * NANODOLLARS))

    async def add(self, batch: UsageBatch) -> None:
        raise NotImplementedError

    async def find(self, query: UsageQuery, *, limit: int, offset: int = 0) -> list[UsageRow]:
        raise NotImplementedError

    async def claim_alert(self, alert: BudgetAlert) -> bool:
        raise NotImplementedError


class Purser:
    """Budgets over a store, with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 5, 12, tzinfo=UTC)
        self.others = Others()
        self.alerts: list[BudgetAlert] = []
        ledger = Ledger(store=self.others, clock=lambda: self.now, make_id=lambda: "w")
        self.budgets = Budgets(ledger=ledger, tenant_budget=Budget(), clock=lambda: self.now, report=self.alerts.append)

    async def holds(self, *, caller: Caller = CALLER) -> bool:
        """Whether a call of a dollar is held."""
        try:
            with await self.budgets.hold([MODEL], caller=caller, usage=CALL):
                return True
        except BudgetExceededError:
            return False


@pytest.fixture
def purser() -> Purser:
    return Purser()


async def test_once_half_is_gone_a_call_looks_at_what_others_have_spent_since(purser: Purser) -> None:
    """Before that, and within a tenth of a second, what was known last is good enough."""
    assert await purser.holds()
    purser.others.dollars = 10
    purser.now += LOOK_AGAIN
    assert await purser.holds()
    assert purser.others.reads == 1
    purser.others.dollars = 6
    await purser.budgets.refresh()
    purser.others.dollars = 10
    assert await purser.holds()
    purser.now += LOOK_AGAIN
    assert not await purser.holds()
    assert purser.others.reads == 3


async def test_while_the_database_is_away_what_was_known_last_decides(purser: Purser) -> None:
    purser.others.dollars = 6
    assert await purser.holds()
    purser.others.away = True
    purser.now += LOOK_AGAIN
    assert await purser.holds()
    assert purser.others.reads == 2


async def test_a_threshold_is_reported_once_in_each_period_and_again_for_another_budget(purser: Purser) -> None:
    purser.others.dollars = 9
    for _ in range(2):
        await purser.holds()
        await purser.budgets.refresh()
    assert [(alert.percent, alert.begun.day) for alert in purser.alerts] == [(80, 5)]
    purser.now += timedelta(days=1)
    await purser.holds()
    assert [(alert.percent, alert.begun.day) for alert in purser.alerts] == [(80, 5), (80, 6)]
    await purser.holds(caller=replace(CALLER, budget=Budget(day=11.0)))
    await purser.budgets.refresh()
    assert [alert.limit // NANODOLLARS for alert in purser.alerts] == [10, 10, 11]
