"""Tokens: whose signature counts, and what claims can and cannot do."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.errors import AuthenticationError
from app.models import ORDINARY_SCOPES, Label, Scope
from app.services.key_sets import LONGEST_OUTAGE_SECONDS, SECONDS_BETWEEN_LOOKUPS, KeySet, read_key_set
from app.services.tokens import ClaimNames, TokenRules, Tokens

SECRET = secrets.token_bytes(32)
NAMES = ClaimNames(tenant="tenant", scopes="scope", clearance="clearance", user="sub")
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


def now() -> datetime:
    return datetime.now(UTC)


def claims(**changes: Any) -> dict[str, Any]:
    return {"sub": "ada", "exp": now().timestamp() + 60, **changes}


def published(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, id: str, **facts: str) -> dict[str, Any]:
    """The public half as a provider publishes it."""
    if isinstance(key, rsa.RSAPrivateKey):
        entry = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        entry = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**entry, "kid": id, **facts}


@dataclass
class Provider:
    """An identity provider whose set a test can change, and take away."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    answers: bool = True
    asked: int = 0
    time: float = 0.0

    async def fetch(self) -> bytes | None:
        self.asked += 1
        return json.dumps({"keys": self.entries}).encode() if self.answers else None

    def key_set(self) -> KeySet:
        return KeySet(fetch=self.fetch, monotonic=lambda: self.time)


@pytest.fixture
def provider() -> Provider:
    return Provider([published(RSA, id="r"), published(EC, id="e")])


def by_secret(**rules: Any) -> Tokens:
    return Tokens(TokenRules(**{"secret": SECRET, "claims": NAMES, **rules}), clock=now)


def by_key_set(provider: Provider) -> Tokens:
    return Tokens(TokenRules(key_set=provider.key_set(), claims=NAMES), clock=now)


def signed(key: Any = SECRET, algorithm: str = "HS256", *, id: str | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": id} if id else None)


async def refuses(tokens: Tokens, text: str) -> bool:
    try:
        await tokens.check(text)
    except AuthenticationError:
        return True
    return False


# Signatures


async def test_a_token_under_the_shared_secret_says_who_asks() -> None:
    text = signed(tenant="acme", scope="openid chat search", clearance="public")
    caller = await by_secret().check(text)
    assert (caller.tenant, caller.user, caller.clearance) == ("acme", "ada", Label.PUBLIC)
    assert caller.scopes == {Scope.CHAT, Scope.SEARCH}


async def test_tokens_under_published_keys_are_taken(provider: Provider) -> None:
    tokens = by_key_set(provider)
    for text in (signed(RSA, "RS256", id="r"), signed(EC, "ES256", id="e")):
        assert (await tokens.check(text)).user == "ada"


async def test_forged_expired_and_early_tokens_are_refused() -> None:
    moment = now().timestamp()
    for text in (
        signed(secrets.token_bytes(32)),
        signed(exp=moment - 60),
        signed(nbf=moment + 600),
        signed(iat=moment + 600),
        signed()[:-4] + "AAAA",
        "eyJ.eyJ.x",
        "eyJhbGciOiJIUzI1NiJ9..",
    ):
        assert await refuses(by_secret(), text)


async def test_a_token_that_never_expires_is_refused() -> None:
    assert await refuses(by_secret(), jwt.encode({"sub": "ada"}, SECRET, algorithm="HS256"))


async def test_an_unsigned_token_is_refused(provider: Provider) -> None:
    text = jwt.encode(claims(), "", algorithm="none")
    assert await refuses(by_secret(), text)
    assert await refuses(by_key_set(provider), text)


def _part(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_a_public_key_is_never_taken_for_a_shared_secret(provider: Provider) -> None:
    """The old trick: HS256 over the published key, which everyone has."""
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for header in ({"alg": "HS256", "kid": "r"}, {"alg": "HS256"}):
        body = f"{_part(header)}.{_part(claims())}"
        mac = base64.urlsafe_b64encode(hmac.digest(pem, body.encode(), hashlib.sha256)).rstrip(b"=").decode()
        assert await refuses(by_key_set(provider), f"{body}.{mac}")


async def test_each_key_verifies_its_own_algorithm_only(provider: Provider) -> None:
    assert await refuses(by_key_set(provider), signed(RSA, "RS512", id="r"))
    assert await refuses(by_key_set(provider), signed(RSA, "PS256", id="r"))
    assert await refuses(by_key_set(provider), signed(RSA, "RS256", id="e"))


async def test_the_secret_does_not_verify_where_only_a_key_set_is_given_nor_the_other_way(provider: Provider) -> None:
    assert await refuses(by_key_set(provider), signed())
    assert await refuses(by_secret(), signed(RSA, "RS256", id="r"))


async def test_audience_and_issuer_must_be_ours_where_they_are_set() -> None:
    tokens = by_secret(audience="sluice", issuer="https://issuer.test")
    assert not await refuses(tokens, signed(aud="sluice", iss="https://issuer.test"))
    for changes in ({"aud": "other", "iss": "https://issuer.test"}, {"aud": "sluice"}, {"iss": "https://issuer.test"}):
        assert await refuses(tokens, signed(**changes))


async def test_a_token_for_another_audience_is_refused_where_none_is_set() -> None:
    assert await refuses(by_secret(), signed(aud="another service"))


# Claims


async def test_without_claims_a_token_gets_no_admin_and_not_the_highest_clearance() -> None:
    caller = await by_secret().check(signed())
    assert caller.scopes == ORDINARY_SCOPES
    assert (caller.tenant, caller.clearance, caller.operator) == ("default", Label.INTERNAL, False)


async def test_admin_comes_only_from_a_scope_that_says_so() -> None:
    assert Scope.ADMIN not in (await by_secret().check(signed(admin=True, role="admin"))).scopes
    caller = await by_secret().check(signed(scope=["admin"]))
    assert caller.scopes == {Scope.ADMIN}
    assert not caller.operator


async def test_claims_that_have_no_meaning_here_are_refused() -> None:
    for changes in (
        {"clearance": "top secret"},
        {"clearance": "CONFIDENTIAL"},
        {"clearance": 2},
        {"clearance": None},
        {"tenant": ""},
        {"tenant": ["acme"]},
        {"scope": 7},
    ):
        assert await refuses(by_secret(), signed(**changes)), changes


async def test_a_claim_that_the_operator_mapped_must_be_there() -> None:
    names = ClaimNames(tenant="org", scopes="scope", clearance="clearance", user="sub", required=frozenset({"org"}))
    assert await refuses(by_secret(claims=names), signed(tenant="acme"))
    assert (await by_secret(claims=names).check(signed(org="acme"))).tenant == "acme"


# Key sets


async def test_a_key_that_is_not_known_yet_is_looked_for_at_a_bounded_rate(provider: Provider) -> None:
    tokens = by_key_set(provider)
    await tokens.check(signed(RSA, "RS256", id="r"))
    fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    provider.entries.append(published(fresh, id="new"))
    assert await refuses(tokens, signed(fresh, "RS256", id="new"))
    for number in range(20):
        assert await refuses(tokens, signed(fresh, "RS256", id=f"guess {number}"))
    assert provider.asked == 1
    provider.time += SECONDS_BETWEEN_LOOKUPS
    assert not await refuses(tokens, signed(fresh, "RS256", id="new"))
    assert provider.asked == 2


async def test_a_token_that_comes_while_the_first_set_is_on_its_way_waits_for_it(provider: Provider) -> None:
    key_set = provider.key_set()
    gate = asyncio.Event()
    answer = key_set.fetch

    async def slow() -> bytes | None:
        await gate.wait()
        return await answer()

    key_set.fetch = slow
    refreshing = asyncio.create_task(key_set.refresh())
    await asyncio.sleep(0)
    found = asyncio.create_task(key_set.find("r"))
    await asyncio.sleep(0)
    gate.set()
    assert await found is not None
    await refreshing
    assert provider.asked == 1


async def test_the_last_good_set_serves_through_an_outage_but_not_for_ever(provider: Provider) -> None:
    key_set = provider.key_set()
    await key_set.refresh()
    provider.answers = False
    provider.time += LONGEST_OUTAGE_SECONDS - 1
    await key_set.refresh()
    assert await key_set.find("r") is not None
    provider.time += 1
    assert await key_set.find("r") is None


async def test_a_set_that_cannot_be_read_leaves_the_keys_as_they_are(provider: Provider) -> None:
    for body in (b"", b"{}", b"[]", b'{"keys": 3}', b"<html>"):
        assert read_key_set(body) is None


def test_keys_of_other_kinds_are_left_out_of_a_set() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    curve = ec.generate_private_key(ec.SECP384R1())
    entries: list[Any] = [
        published(RSA, id="good"),
        published(RSA, id="encryption", use="enc"),
        published(RSA, id="other algorithm", alg="RS512"),
        published(weak, id="weak"),
        published(curve, id="curve"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric", "alg": "HS256"},
        {"kty": "RSA", "kid": "broken"},
        "no key at all",
    ]
    found = read_key_set(json.dumps({"keys": entries}).encode())
    assert found is not None
    assert set(found) == {"good"}
