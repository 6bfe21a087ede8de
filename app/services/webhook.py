"""The webhook of budgets: what was spent, signed, sent beside the requests and sent again until it is taken.

The form is that of the Standard Webhooks specification, so that its libraries can check the signature: an id that stays
the same over attempts, the time of the attempt, and HMAC-SHA256 over `ID.TIME.BODY`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from app.protocols import Clock
from app.records import BudgetAlert
from app.services.usage import NANODOLLARS

logger = logging.getLogger(__name__)

# Seconds before each further attempt. What is not taken after the last is given up.
PAUSES = (1.0, 5.0, 30.0, 120.0, 600.0)
# The hundreds of a status that takes it.
SUCCESS = 2

# Posts a body with headers and tells the status, `None` if there was no answer.
Post = Callable[[bytes, Mapping[str, str]], Awaitable[int | None]]


@dataclass(frozen=True, slots=True)
class _Delivery:
    id: str
    body: bytes


class Webhook:
    """Sends alerts one after the other, in their order; they are few. `secret` keys the signatures."""

    def __init__(
        self,
        *,
        post: Post,
        secret: bytes,
        clock: Clock,
        make_id: Callable[[], str],
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._post = post
        self._secret = secret
        self._clock = clock
        self._make_id = make_id
        self._pauses = pauses
        self._waiting: asyncio.Queue[_Delivery] = asyncio.Queue()

    def send(self, alert: BudgetAlert) -> None:
        """Leave an alert to be delivered."""
        self._waiting.put_nowait(_Delivery(f"msg_{self._make_id()}", self._write(alert)))

    async def keep_delivering(self) -> None:
        """Deliver what is left here, for ever."""
        while True:
            delivery = await self._waiting.get()
            if not await self._deliver(delivery):
                logger.warning("a budget's webhook was not taken", extra={"webhook": delivery.id})

    async def _deliver(self, delivery: _Delivery) -> bool:
        for pause in (0.0, *self._pauses):
            await asyncio.sleep(pause)
            status = await self._post(delivery.body, self._headers(delivery))
            if status is not None and status // 100 == SUCCESS:
                return True
        return False

    def _headers(self, delivery: _Delivery) -> Mapping[str, str]:
        moment = str(int(self._clock().timestamp()))
        signed = f"{delivery.id}.{moment}.".encode() + delivery.body
        digest = hmac.digest(self._secret, signed, hashlib.sha256)
        return {
            "webhook-id": delivery.id,
            "webhook-timestamp": moment,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }

    def _write(self, alert: BudgetAlert) -> bytes:
        """Names that the operator gave and numbers, nothing that anybody said."""
        return orjson.dumps(
            {
                "type": "budget.threshold_reached",
                "timestamp": self._clock().isoformat(),
                "data": {
                    "tenant": alert.account.tenant,
                    "key": alert.account.key_id,
                    "period": alert.period,
                    "begun": alert.begun.isoformat(),
                    "percent": alert.percent,
                    "budget_usd": alert.limit / NANODOLLARS,
                    "spent_usd": alert.spent / NANODOLLARS,
                },
            }
        )
