"""Settings to those who may ask, and how much: keys, tokens, limits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from app.config import Settings
from app.egress import Egress
from app.engine_wiring import Engines, new_id, now
from app.models import Budget, Limits, Locality
from app.protocols import WindowStore
from app.services.admission import Admission
from app.services.alerts import Alerts
from app.services.auth import Authenticator
from app.services.budgets import Budgets
from app.services.key_sets import KeySet
from app.services.keys import Keys
from app.services.tokens import ClaimNames, TokenRules, Tokens
from app.services.usage import Ledger
from app.services.webhook import Webhook
from app.stores.memory_windows import MemoryWindows
from app.utils.monitoring import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may ask, and how much. `key_set` has to be kept fresh, if tokens are checked by one, and `windows` kept."""

    authenticator: Authenticator
    keys: Keys
    admission: Admission
    ledger: Ledger
    budgets: Budgets
    alerts: Alerts
    key_set: KeySet | None
    windows: WindowStore


def build_access(settings: Settings, *, engines: Engines, metrics: Metrics) -> Access:
    """Plain constructor calls, from the bottom up; `windows` has to be closed."""
    store, egress = engines.record.keys, engines.egress
    keys = Keys(store=store, clock=now, monotonic=time.monotonic)
    key_set = _build_key_set(settings.jwt_jwks_url, egress=egress)
    authenticator = Authenticator(
        admin_key=settings.admin_key.get_secret_value() if settings.admin_key else None,
        keys=keys,
        tokens=_build_tokens(settings, key_set=key_set),
        protected=settings.protected,
    )
    windows = _open_windows(settings, egress=egress)
    admission = Admission(
        windows=windows,
        user_limits=_user_limits(settings),
        secret=engines.secret,
        make_id=new_id,
        is_shared=settings.redis_url is not None,
    )
    usage = engines.record.usage
    ledger = Ledger(store=usage, clock=now, make_id=new_id)
    alerts = Alerts(store=usage, metrics=metrics, webhook=_build_webhook(settings, egress=egress))
    return Access(
        authenticator=authenticator,
        keys=keys,
        admission=admission,
        ledger=ledger,
        budgets=Budgets(ledger=ledger, tenant_budget=_tenant_budget(settings), clock=now, report=alerts.report),
        alerts=alerts,
        key_set=key_set,
        windows=windows,
    )


def _open_windows(settings: Settings, *, egress: Egress) -> WindowStore:
    """Shared where there is Redis; without it each worker counts its share."""
    here = MemoryWindows(monotonic=time.monotonic, workers=settings.workers)
    if settings.redis_url is None:
        return here
    from app.stores.redis_windows import RedisWindows

    return RedisWindows(settings.redis_url.get_secret_value(), fallback=here, admits=egress.is_ours)


def _user_limits(settings: Settings) -> Limits:
    return Limits(
        requests_per_minute=settings.user_requests_per_minute or None,
        tokens_per_minute=settings.user_tokens_per_minute or None,
    )


def _tenant_budget(settings: Settings) -> Budget:
    return Budget(day=settings.tenant_budget_day or None, month=settings.tenant_budget_month or None)


def _build_webhook(settings: Settings, *, egress: Egress) -> Webhook | None:
    url, secret = settings.budget_webhook_url, settings.webhook_key
    if url is None or secret is None:
        return None

    async def post(body: bytes, headers: Mapping[str, str]) -> int | None:
        answer = await egress.ask(url, locality=Locality.LOCAL, body=body, headers=headers)
        return answer.status if answer is not None else None

    return Webhook(post=post, secret=secret, clock=now, make_id=new_id)


def _build_key_set(url: str | None, *, egress: Egress) -> KeySet | None:
    if url is None:
        return None

    async def fetch() -> bytes | None:
        # By the pool that looks at the peer's address: whoever answers for the provider decides who may ask.
        answer = await egress.ask(url, locality=Locality.LOCAL)
        return answer.body if answer is not None and answer.status == 200 else None  # noqa: PLR2004  (HTTP's OK)

    return KeySet(fetch=fetch, monotonic=time.monotonic)


def _build_tokens(settings: Settings, *, key_set: KeySet | None) -> Tokens | None:
    if settings.jwt_secret is None and key_set is None:
        return None
    rules = TokenRules(
        secret=settings.jwt_secret.get_secret_value().encode() if settings.jwt_secret else None,
        key_set=key_set,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
        claims=ClaimNames(
            tenant=settings.jwt_tenant_claim,
            scopes=settings.jwt_scope_claim,
            clearance=settings.jwt_clearance_claim,
            user=settings.jwt_user_claim,
            required=_named_claims(settings),
        ),
    )
    return Tokens(rules, clock=now)


def _named_claims(settings: Settings) -> frozenset[str]:
    """The claims that the operator has named, which a token must then have."""
    named = ("jwt_tenant_claim", "jwt_scope_claim", "jwt_clearance_claim", "jwt_user_claim")
    return frozenset(getattr(settings, name) for name in named if name in settings.model_fields_set)
