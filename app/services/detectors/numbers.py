"""Runs of digits as people write them: groups with spaces, dots, dashes, slashes or brackets between."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.services.detectors.normalise import View
from app.services.detectors.vocabulary import Vocabulary

_RUN = re.compile(r"\d(?:[ \t]{0,2}[-./()_:\u00b7]{0,2}[ \t]{0,2}\d)*")
_GROUP = re.compile(r"\d+")
_SEPARATOR = re.compile(r"[^\d ]")

# Words in front of numbers that only look like somebody's: products, orders, parcels, versions.
_PRODUCT_WORDS = Vocabulary(
    "order, orders, tracking, shipment, parcel, ean, upc, gtin, isbn, issn, sku, asin, barcode, product, item, part, serial",
    "version, build, release, revision, ticket, invoice, receipt, transaction, batch, lot, model, reference, ref, hash",
    "timestamp, epoch, bestellung, bestellnummer, auftragsnummer, sendungsnummer, rechnung, rechnungsnummer, artikelnummer",
    "commande, suivi, facture, pedido, seguimiento, factura, ordine, fattura, spedizione, pedido, fatura, bestelling",
    "zamówienie, faktura, 订单, 订单号, 运单, 快递, 条码, 版本, 注文",
)
_BETWEEN = re.compile(
    r"[ \t:#=\"'.()]*(?:(?:no|nr|num|number|numbers|nummer|id|ids|code|is|ist|est|es|#|n)\b[ \t:#=\"'.()]*){0,3}$"
)


@dataclass(frozen=True, slots=True)
class Group:
    digits: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Number:
    """A run of digit groups. `separators` are the signs between them, spaces left out."""

    groups: tuple[Group, ...]
    digits: str
    separators: frozenset[str]
    is_part_of_word: bool

    @property
    def start(self) -> int:
        return self.groups[0].start

    @property
    def end(self) -> int:
        return self.groups[-1].end


def numbers(view: View, *, shortest: int) -> Iterator[Number]:
    """Every run of at least so many digits."""
    for run in _RUN.finditer(view.text):
        if run.end() - run.start() >= shortest:
            number = _read(view.text, run.start(), run.end())
            if len(number.digits) >= shortest:
                yield number


def _read(text: str, start: int, end: int) -> Number:
    run = text[start:end]
    groups = tuple(Group(m.group(), start + m.start(), start + m.end()) for m in _GROUP.finditer(run))
    return Number(
        groups=groups,
        digits="".join(group.digits for group in groups),
        separators=frozenset(_SEPARATOR.findall(run)),
        is_part_of_word=_touches_word(text, start, end),
    )


def _touches_word(text: str, start: int, end: int) -> bool:
    """Whether letters or a decimal point hang on the run, as in a hash, a code or a URL path."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    return (
        _is_letter(before[-1:])
        or (before[-1:] in {"-", "/", ".", "_"} and _is_letter(before[:1]))
        or _is_letter(after[:1])
        or (after[:1] in {"-", "_"} and after[1:].isalnum())
    )


def _is_letter(character: str) -> bool:
    return character == "_" or (character.isascii() and character.isalpha())


def follows_product_word(view: View, start: int) -> bool:
    """Whether the number that starts at `start` is called an order, a parcel, a version and the like."""
    return any(
        _BETWEEN.fullmatch(view.lower, end, start) is not None
        for _, end in _PRODUCT_WORDS.places_between(view, start - 30, start)
    )
