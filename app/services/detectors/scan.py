"""One pass of every detector over the fields of a request, in pieces, closed on failure."""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from app.models import Finding, Label
from app.services.detectors.addresses import find_postal_addresses
from app.services.detectors.cards import find_cards, is_split_card
from app.services.detectors.identifiers import find_codes, find_ibans, find_spaced_codes, find_wallets
from app.services.detectors.kinds import DETECTOR_FAILURE, UNINSPECTED, Kind, Span
from app.services.detectors.markings import find_internal_names, find_markings
from app.services.detectors.named_numbers import find_named_numbers
from app.services.detectors.network import find_emails, find_internal_hosts, find_ip_addresses, find_mac_addresses
from app.services.detectors.normalise import View, plain_view
from app.services.detectors.own import OwnDetector
from app.services.detectors.phones import find_phones
from app.services.detectors.policy import DetectionPolicy
from app.services.detectors.readings import readings
from app.services.detectors.secrets import find_passwords, find_private_keys, find_provider_keys, find_url_passwords
from app.services.detectors.statements import find_statements

# The text is looked at in pieces of this many characters. Two pieces share twice the length of the longest pattern,
# and each finds what starts between the middles of what it shares: all of that lies inside it, words around included.
_PIECE = 32_768
_LONGEST_MATCH = 4_608
# All detectors together look at so many characters in ten milliseconds.
_SHORT = 8_192
# How far to either side of the seam of two fields a value may reach that was cut in two.
_SEAM = 512
_LONGEST_CHAIN = 64
# With so many findings and the highest label among them, the rest of the text changes nothing but the counts.
_ENOUGH = 1_000

_DIGIT = re.compile(r"\d")
_WORD_END, _WORD_START = re.compile(r"[\w+/=@-]\s*$"), re.compile(r"\s*[\w+/=@-]")

Detector = Callable[[View], Iterable[Span]]

# Where two kinds claim the same characters, the one further up wins.
_PRECEDENCE = {kind.value: rank for rank, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Field:
    """A text and where it stands: field and index, such as `messages[2].content`, never a client's own words."""

    where: str
    text: str


class Detectors:
    """Every detector under one policy."""

    def __init__(self, policy: DetectionPolicy, *, extra: Sequence[Detector] = ()) -> None:
        """`extra` detectors see every reading of the text after the built-in ones."""
        self._policy = policy
        domains = "|".join(re.escape(domain) for domain in policy.own_domains)
        own_hosts = re.compile(rf"(?<![\w.-])(?:[\w-]+\.)*(?:{domains})(?![\w-]|\.\w)") if domains else None
        with_digits: tuple[Detector, ...] = (
            find_cards,
            find_ibans,
            find_codes,
            find_spaced_codes,
            find_wallets,
            find_named_numbers,
            find_phones,
            lambda view: find_ip_addresses(view, own=policy.own_networks),
            find_postal_addresses,
        )
        self._always: tuple[Detector, ...] = (
            find_private_keys,
            find_provider_keys,
            find_passwords,
            find_url_passwords,
            find_emails,
            find_mac_addresses,
            lambda view: find_internal_hosts(view, own=own_hosts),
            find_statements,
            find_markings,
            find_internal_names,
            OwnDetector.of(policy).find,
            *extra,
        )
        self._all = (*with_digits, *self._always)

    async def scan(self, fields: Sequence[Field]) -> tuple[Finding, ...]:
        """What is in the fields, alone and joined, giving way to other tasks every ten milliseconds. Never raises.

        Above a thousand findings of which one is confidential the rest is not read: the counts are then too low.
        """
        scan = _Scan(self, fields, self._policy)
        for _ in scan.steps():
            await asyncio.sleep(0)
        return scan.findings()

    async def scan_aside(self, fields: Sequence[Field]) -> tuple[Finding, ...]:
        """The same in a thread, for texts that nobody waits for: each step is one for which requests would wait."""
        return await asyncio.to_thread(self.scan_now, fields)

    def scan_now(self, fields: Sequence[Field]) -> tuple[Finding, ...]:
        """The same without giving way."""
        scan = _Scan(self, fields, self._policy)
        for _ in scan.steps():
            pass
        return scan.findings()

    def spans(self, text: str) -> tuple[Span, ...]:
        """What is in one text, by position in it, in order and without overlaps. Raises what a detector raises."""
        return resolve(span for start, end in _pieces(len(text)) for span in self.spans_between(text, start, end))

    def spans_between(self, text: str, start: int, end: int) -> Iterator[Span]:
        """What begins in a piece of the text, save what only its neighbours see whole."""
        for found in self.looks_between(text, start, end):
            yield from found

    def looks_between(self, text: str, start: int, end: int) -> Iterator[list[Span]]:
        """The same, by what each look of one detector finds. The longest takes a third of all together."""
        earliest = start + _LONGEST_MATCH if start else 0
        latest = end - _LONGEST_MATCH if end < len(text) else end
        for view in readings(plain_view(text[start:end])):
            for detector in self._all if _DIGIT.search(view.text) else self._always:
                found = []
                for span in detector(view):
                    first, last = view.original(span.start, span.end)
                    # A value in a long encoding is as long as that, and stands in no window's middle.
                    inside = earliest <= start + first < latest or last - first > _LONGEST_MATCH
                    if inside and not self._is_ignored(view, span):
                        found.append(Span(span.kind, start + first, start + last))
                yield found

    def _is_ignored(self, view: View, span: Span) -> bool:
        return bool(self._policy.ignore) and view.text[span.start : span.end].casefold() in self._policy.ignore


class _Scan:
    """The fields joined by line breaks, and what was found in them so far."""

    def __init__(self, detectors: Detectors, fields: Sequence[Field], policy: DetectionPolicy) -> None:
        self._detectors = detectors
        self._fields = [field for field in fields if field.text]
        self._policy = policy
        self._found: Counter[tuple[str, str]] = Counter()
        self._starts: list[int] = []
        position = 0
        for field in self._fields:
            self._starts.append(position)
            position += len(field.text) + 1

    def steps(self) -> Iterator[None]:
        """Look at one piece after another; a failure or too long a text ends the scan with one finding."""
        if sum(len(field.text) for field in self._fields) > self._policy.max_characters:
            self._give_up(UNINSPECTED)
            return
        try:
            yield from self._look()
        # A detector may fail in any way: the request counts as confidential. The error's text may quote the request.
        except Exception:  # noqa: BLE001
            self._give_up(DETECTOR_FAILURE)

    def _look(self) -> Iterator[None]:
        text = "\n".join(field.text for field in self._fields)
        spans: list[Span] = []
        for start, end in _pieces(len(text)):
            for found in self._detectors.looks_between(text, start, end):
                spans += found
                if end - start > _SHORT:
                    yield
            yield
            if len(spans) > _ENOUGH and any(self._label(span.kind) is Label.CONFIDENTIAL for span in spans):
                break
        for span in resolve(spans):
            self._count(span.kind, self._field_at(span.end - 1))
        for chain in self._chains():
            self._look_at_chain(chain)
            yield

        self._look_for_split_cards()

    def _look_for_split_cards(self) -> None:
        """Find a card told in two parts, in a field and the next, or the next but one with an answer between."""
        for distance in (1, 2):
            for first, second in zip(self._fields, self._fields[distance:], strict=False):
                card = is_split_card(first.text[-_SEAM:], second.text[:_SEAM])
                if card and not self._found[Kind.PAYMENT_CARD, second.where]:
                    self._found[Kind.PAYMENT_CARD, second.where] = 1

    def _chains(self) -> Iterator[list[tuple[str, int]]]:
        """Runs of fields that may hold one value cut in pieces: each ends within a word, where the next goes on."""
        chain: list[tuple[str, int]] = []
        for index, field in enumerate(self._fields):
            if chain and _runs_on(chain[-1][0], field.text):
                chain.append((field.text[:_SEAM].strip(), index))
                if len(field.text) <= _SEAM and len(chain) < _LONGEST_CHAIN:
                    continue
            if len(chain) > 1:
                yield chain
            chain = [(field.text[-_SEAM:].strip(), index)]
        if len(chain) > 1:
            yield chain

    def _look_at_chain(self, chain: list[tuple[str, int]]) -> None:
        """Find what was cut in two inside a word or a number, which a line break between would hide."""
        ends = list(accumulate(len(text) for text, _ in chain))
        for span in self._detectors.spans("".join(text for text, _ in chain)):
            first, last = bisect_right(ends, span.start), bisect_right(ends, span.end - 1)
            if first != last:
                self._count(span.kind, chain[last][1])

    def _field_at(self, position: int) -> int:
        return bisect_right(self._starts, position) - 1

    def _count(self, kind: str, field: int) -> None:
        self._found[kind, self._fields[field].where] += 1

    def _give_up(self, detector: str) -> None:
        self._found.clear()
        self._found[detector, self._fields[0].where] = 1

    def findings(self) -> tuple[Finding, ...]:
        """Each kind in each field once, with its count; kinds whose label is public are left out."""
        findings = (
            Finding(detector=str(kind), label=self._label(kind), where=where, count=count)
            for (kind, where), count in self._found.items()
        )
        return tuple(finding for finding in findings if finding.label > Label.PUBLIC)

    def _label(self, kind: str) -> Label:
        if kind in {UNINSPECTED, DETECTOR_FAILURE}:
            return Label.CONFIDENTIAL
        return self._policy.labels.get(kind, Label.CONFIDENTIAL)


def _runs_on(before: str, after: str) -> bool:
    return _WORD_END.search(before[-8:]) is not None and _WORD_START.match(after[:8]) is not None


def _pieces(length: int) -> Iterator[tuple[int, int]]:
    start = 0
    while True:
        end = min(start + _PIECE, length)
        yield start, end
        if end == length:
            return
        start = end - 2 * _LONGEST_MATCH


def resolve(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The spans in order, where of overlapping ones the earlier kind of `Kind`, then the longer one, is kept."""
    kept: list[Span] = []
    cluster: list[Span] = []
    end = 0
    for span in sorted(set(spans), key=lambda span: (span.start, span.end, _rank(span))):
        if span.start >= end:
            kept += _strongest(cluster)
            cluster = []
        cluster.append(span)
        end = max(end, span.end)
    return tuple(kept + _strongest(cluster))


def _strongest(cluster: list[Span]) -> list[Span]:
    """Of spans that hang together, those that no stronger one overlaps, in order."""
    if len(cluster) < 2:
        return cluster
    starts: list[int] = []
    kept: list[Span] = []
    for span in sorted(cluster, key=lambda span: (_rank(span), span.start - span.end, span.start)):
        place = bisect_right(starts, span.start)
        clear_before = place == 0 or kept[place - 1].end <= span.start
        if clear_before and (place == len(kept) or span.end <= kept[place].start):
            starts.insert(place, span.start)
            kept.insert(place, span)
    return kept


def _rank(span: Span) -> int:
    return _PRECEDENCE.get(span.kind, len(_PRECEDENCE))
