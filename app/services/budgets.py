"""Budgets: what a key and its tenant may spend in a day and a month, held before a call and settled by what it cost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from app.errors import BudgetExceededError, SluiceError
from app.models import Budget, Caller, Model, Usage
from app.protocols import Clock
from app.records import Account, BudgetAlert, Spent
from app.services.answer import cost_of
from app.services.usage import Ledger, nanodollars

logger = logging.getLogger(__name__)

# How old what this process knows of others' spending may be.
REFRESH_SECONDS = 0.5
# And of an account of which less than half is left, when a call is about to be held: others write as often.
LOOK_AGAIN = timedelta(seconds=0.1)
# An account that nobody asked for in so long is not followed.
IDLE = timedelta(minutes=1)
# Parts of a budget, in percent, that are reported when they are spent.
THRESHOLDS = (80, 100)
NO_BUDGET = Budget()


@dataclass(slots=True)
class _Purse:
    """What is known of an account's spending, in billionths of a US dollar.

    `spent` is what the database said when it was `read`, `booked` what this process spent since, and `held` what its
    open calls may cost.
    """

    budget: Budget
    day: date
    asked: datetime
    spent: Spent
    booked: int = 0
    held: int = 0
    read: datetime | None = None

    def periods(self) -> Iterator[tuple[str, int, int]]:
        """Each period that has a limit, with what was spent in it and the limit."""
        if self.budget.day is not None:
            yield "day", self.spent.day + self.booked, nanodollars(self.budget.day)
        if self.budget.month is not None:
            yield "month", self.spent.month + self.booked, nanodollars(self.budget.month)

    def is_tight(self) -> bool:
        """Whether half of a budget is spent or held, so that what others spend decides."""
        return any((spent + self.held) * 2 > limit for _, spent, limit in self.periods())

    def find_exceeded(self, cost: int) -> Iterator[str]:
        """The periods in which the cost, on top of all that is held, would be too much."""
        return (period for period, spent, limit in self.periods() if spent + self.held + cost > limit)


class Budgets:
    """Holds what calls may cost, so that calls at once spend no more than there is; `tenant_budget` is each tenant's.

    A model that costs nothing, or whose price nobody knows, is never held back. What other processes spend is known
    half a second later.
    """

    def __init__(
        self, *, ledger: Ledger, tenant_budget: Budget, clock: Clock, report: Callable[[BudgetAlert], None]
    ) -> None:
        self._ledger = ledger
        self._tenant_budget = tenant_budget
        self._clock = clock
        self._report = report
        self._purses: dict[Account, _Purse] = {}
        self._reported: set[tuple[Account, str, date, int, int]] = set()
        self._turn = asyncio.Lock()
        ledger.on_spent = self.note

    async def hold(
        self, models: Sequence[Model], *, caller: Caller, usage: Usage
    ) -> AbstractContextManager[tuple[Model, ...]]:
        """The models that the budgets still pay for, with the dearest one's cost held while the context is entered.

        Raises `BudgetExceededError` if none is left, and `DatabaseUnavailableError` if nothing is known of an account
        and the database cannot tell.
        """
        purses = await self._open(caller)
        if not purses:
            return nullcontext(tuple(models))
        costs = {model.id: nanodollars(cost_of(usage, model=model)) for model in models}
        kept = tuple(model for model in models if _fits(costs[model.id], purses=purses))
        if models and not kept:
            raise self._refusal(min(costs.values()), purses=purses)
        most = max((costs[model.id] for model in kept), default=0)
        return _holding(kept, most, purses=purses)

    def note(self, cost: int, *, caller: Caller) -> None:
        """Take in what a call has cost."""
        for account, _ in self._limits(caller):
            purse = self._purses.get(account)
            if purse is not None:
                purse.booked += cost
                self._watch(account, purse)

    async def keep_fresh(self) -> None:
        """Follow for ever what all processes spend."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
            except SluiceError as error:
                logger.warning("budgets are not refreshed", extra={"outcome": error.code})

    async def refresh(self) -> None:
        """Read again what was spent on the accounts that are in use."""
        now = self._clock()
        for account, purse in list(self._purses.items()):
            if not purse.held and now - purse.asked > IDLE:
                del self._purses[account]
        self._forget_reports(today=now.date())
        await self._read(list(self._purses), day=now.date())

    def _limits(self, caller: Caller) -> Iterator[tuple[Account, Budget]]:
        if caller.key_id is not None and caller.budget != NO_BUDGET:
            yield Account(caller.tenant, caller.key_id), caller.budget
        if self._tenant_budget != NO_BUDGET:
            yield Account(caller.tenant), self._tenant_budget

    async def _open(self, caller: Caller) -> Sequence[_Purse]:
        """The purses that the caller's calls are paid from, of this day."""
        now, purses = self._clock(), []
        for account, budget in self._limits(caller):
            # There before it is read, so that what is booked meanwhile is in it.
            purse = self._purses.setdefault(account, _Purse(budget, date.min, now, Spent()))
            purse.budget, purse.asked = budget, now
            if purse.day != now.date():
                await self._read([account], day=now.date())
            elif purse.is_tight() and (purse.read is None or now - purse.read >= LOOK_AGAIN):
                purse.read = now  # whoever comes meanwhile need not look too
                with suppress(SluiceError):  # then what was last known decides
                    await self._read([account], day=now.date())
            purses.append(purse)
        return purses

    async def _read(self, accounts: Sequence[Account], *, day: date) -> None:
        """What is booked while this reads may be counted twice until the next time, but never not at all."""
        if not accounts:
            return
        async with self._turn:
            asked = self._clock()
            before = {account: self._purses[account].booked for account in accounts if account in self._purses}
            spent = await self._ledger.read_spent(list(before), day=day)
            for account, booked in before.items():
                purse = self._purses.get(account)
                if purse is not None:
                    purse.day, purse.spent, purse.read = day, spent.get(account, Spent()), asked
                    purse.booked -= booked
                    self._watch(account, purse)

    def _refusal(self, cost: int, *, purses: Sequence[_Purse]) -> BudgetExceededError:
        now = self._clock()
        ends = [_end(period, now=now) for purse in purses for period in purse.find_exceeded(cost)]
        return BudgetExceededError(retry_after=(max(ends) - now).total_seconds())

    def _watch(self, account: Account, purse: _Purse) -> None:
        """Report each threshold of a period that is passed, once in this process."""
        for period, spent, limit in purse.periods():
            begun = purse.day if period == "day" else purse.day.replace(day=1)
            for percent in THRESHOLDS:
                threshold = (account, period, begun, percent, limit)
                if spent * 100 < limit * percent or threshold in self._reported:
                    continue
                self._reported.add(threshold)
                self._report(
                    BudgetAlert(account=account, period=period, begun=begun, percent=percent, limit=limit, spent=spent)
                )

    def _forget_reports(self, *, today: date) -> None:
        """Those of periods that are over."""
        self._reported = {each for each in self._reported if each[2] >= today.replace(day=1)}


def _fits(cost: int, *, purses: Sequence[_Purse]) -> bool:
    return not cost or not any(any(purse.find_exceeded(cost)) for purse in purses)


@contextmanager
def _holding(models: tuple[Model, ...], cost: int, *, purses: Sequence[_Purse]) -> Iterator[tuple[Model, ...]]:
    for purse in purses:
        purse.held += cost
    try:
        yield models
    finally:
        for purse in purses:
            purse.held -= cost


def _end(period: str, *, now: datetime) -> datetime:
    """When the day or the month is over, in UTC."""
    today = now.date()
    following = today + timedelta(days=1) if period == "day" else (today.replace(day=1) + timedelta(days=32))
    return datetime.combine(following if period == "day" else following.replace(day=1), time(), tzinfo=now.tzinfo)
