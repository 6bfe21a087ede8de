"""The audit: who asked, under which label and why, where it went, and digests of what was said, never the text.

Digests are HMACs under the secret of the data directory: who holds a text and the secret can tell whether a record is
of that text, and nobody else learns anything of it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import orjson

from app.errors import SluiceError
from app.models import Attempt, Caller, Candidate, Finding, JSONValue, Label, Message, Route
from app.protocols import AuditTrail, Clock
from app.records import DocumentVersion
from app.services.labels import Reading, version_label
from app.utils.logging import REQUEST_ID


class TextDigest:
    """A keyed digest of a text that comes in pieces."""

    def __init__(self, key: bytes) -> None:
        self._digest = hmac.new(key, digestmod=hashlib.sha256)
        self._is_empty = True

    def add(self, *pieces: str) -> None:
        text = "".join(pieces)
        if text:
            self.add_bytes(text.encode())

    def add_bytes(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._is_empty = False

    @property
    def value(self) -> str | None:
        """In hexadecimal, `None` for no text."""
        return None if self._is_empty else self._digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAccount:
    """What is known of a request that is over, however it ended; `route` is `None` if it did not get so far."""

    caller: Caller
    label: str
    raised_by: tuple[Finding, ...]
    route: Route | None
    model: str | None
    outcome: str
    messages: tuple[Message, ...]
    answer: TextDigest


@dataclass(slots=True, kw_only=True)
class Account:
    """A request that is no chat, while it is answered: its label, and the `model` that its texts were sent to."""

    reading: Reading | None = None
    route: Route | None = None
    model: str | None = None
    found: Mapping[str, int] | None = None


class Audit:
    """Writes one record for each request and for each step of a document."""

    def __init__(self, *, trail: AuditTrail, secret: bytes, clock: Clock) -> None:
        self._trail = trail
        self._key = hmac.digest(secret, b"audit", hashlib.sha256)
        self._clock = clock

    def digest_text(self) -> TextDigest:
        """An empty digest, to be added to."""
        return TextDigest(self._key)

    def digest(self, text: str) -> str | None:
        """The digest of a whole text."""
        digest = self.digest_text()
        digest.add(text)
        return digest.value

    def record_request(self, account: RequestAccount) -> None:
        """A request, answered or not."""
        route = account.route
        prompt = self.digest_text()
        for message in account.messages:
            prompt.add_bytes(orjson.dumps(message))
        self._append(
            "request",
            account.caller,
            {
                "label": account.label,
                "raised_by": _findings(account.raised_by),
                "rule": route.rule if route else None,
                "candidates": _candidates(route.candidates if route else ()),
                "attempts": _attempts(route.attempts if route else ()),
                "cache": route.cache if route else None,
                "model": account.model,
                "outcome": account.outcome,
                "prompt_digest": prompt.value,
                "answer_digest": account.answer.value,
            },
        )

    @contextmanager
    def account(self, kind: str, texts: Iterable[str], *, caller: Caller) -> Iterator[Account]:
        """A request that is no chat: what is noted in the account while it is answered is recorded, however it ends."""
        account, outcome = Account(), "cancelled"
        try:
            yield account
            outcome = "ok"
        except SluiceError as error:
            outcome = error.code
            raise
        except Exception:
            outcome = SluiceError.code
            raise
        finally:
            digest = self.digest_text()
            digest.add(*texts)
            self._append(kind, caller, {**_facts(account), "outcome": outcome, "prompt_digest": digest.value})

    def record_upload(self, version: DocumentVersion, *, caller: Caller) -> None:
        """A document that was taken in, under the label it has before it is read."""
        facts: Mapping[str, JSONValue] = {"version": version.id, "label": version.label.word, "outcome": "accepted"}
        self._append("document", caller, facts)

    def record_document(
        self, version: DocumentVersion, *, reading: Reading | None, outcome: str, digest: str | None
    ) -> None:
        """How a document's ingestion ended, the label it was found to have, and the digest of its text."""
        label = version_label(version, reading) if reading else version.label
        self._append(
            "document",
            Caller(tenant=version.key.tenant),
            {
                "version": version.id,
                "label": label.word,
                "raised_by": _findings(reading.raised_by if reading else ()),
                "outcome": outcome,
                "text_digest": digest,
            },
        )

    def record_declassification(
        self, old: DocumentVersion, new: DocumentVersion, *, reason: str | None, caller: Caller
    ) -> None:
        """A label that an administrator lowered; `label` is what the document had before."""
        self._append(
            "declassification",
            caller,
            {
                "version": old.id,
                "label": old.label.word,
                "new_version": new.id,
                "new_label": new.label.word,
                "reason": reason,
                "outcome": "accepted",
            },
        )

    def record_floor(self, floor: Label, *, raised: int, caller: Caller) -> None:
        """A collection's floor that an administrator set, and how many versions it raised."""
        self._append("floor", caller, {"label": floor.word, "raised": raised, "outcome": "accepted"})

    def _append(self, kind: str, caller: Caller, facts: Mapping[str, JSONValue]) -> None:
        who = {"request_id": REQUEST_ID.get(), "tenant": caller.tenant, "key_id": caller.key_id}
        self._trail.append({"time": self._clock().isoformat(), "kind": kind, **who, **facts})


def _facts(account: Account) -> dict[str, JSONValue]:
    reading, route = account.reading, account.route
    raised_by = route.raised_by if route else reading.raised_by if reading else ()
    label = route.label if route else reading.label if reading else None
    facts: dict[str, JSONValue] = {
        "label": label.word if label is not None else "unknown",
        "raised_by": _findings(raised_by),
        "model": account.model,
    }
    if route is not None:
        facts |= {"rule": route.rule, "candidates": _candidates(route.candidates)}
    if account.found is not None:
        facts["found"] = dict(account.found)
    return facts


def _findings(findings: Iterable[Finding]) -> JSONValue:
    return [{"detector": each.detector, "where": each.where, "count": each.count} for each in findings]


def _candidates(candidates: Iterable[Candidate]) -> JSONValue:
    return [{"model": each.model, "dropped": each.dropped} for each in candidates]


def _attempts(attempts: Iterable[Attempt]) -> JSONValue:
    return [{"model": each.model, "outcome": each.outcome} for each in attempts]
