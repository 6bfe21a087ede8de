"""Payment cards: the issuer's range, the length that it issues, and the check digit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.services.detectors.checksums import ean, luhn
from app.services.detectors.kinds import Kind, Span
from app.services.detectors.normalise import View
from app.services.detectors.numbers import Group, Number
from app.services.detectors.products import follows_product_word
from app.services.detectors.vocabulary import Vocabulary

CARD_WORDS = Vocabulary(
    "card, cards, creditcard, cc, ccn, pan, visa, mastercard, amex, american express, discover, diners, maestro, jcb",
    "unionpay, debit, cardholder, cvv, cvc, karte, kreditkarte, kreditkartennummer, kartennummer, carte, tarjeta",
    "carta, cartao, kaart, kaartnummer, creditcardnummer, karta, karty, karte, kort, kortnummer",
    "kreditkort, luottokortti",
    "kortti, карта, карты, карту, κάρτα, kart, kredi karti, bankkártya, 卡号, 信用卡, 银行卡, 卡, カード",
    "クレジットカード",
)

# The issuer identification ranges as (first digits, lengths), from ISO/IEC 7812 registrants' public tables.
_ISSUED = re.compile(
    r"""
      4(?:\d{12}|\d{15}|\d{18})                                            # Visa
    | 5[1-5]\d{14}                                                         # Mastercard
    | (?:222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}                # Mastercard, 2-series
    | 3[47]\d{13}                                                          # American Express
    | (?:6011|64[4-9]\d|65\d\d)\d{12}(?:\d{3})?                            # Discover
    | (?:352[89]|35[3-8]\d)\d{12}(?:\d{3})?                                # JCB
    | (?:2131|1800)\d{11}                                                  # JCB, 15 digits
    | (?:30[0-5]\d|3095|36\d\d|3[89]\d\d)\d{10}(?:\d{2})?                  # Diners Club
    | 62\d{14,17}                                                          # UnionPay
    | (?:50(?:18|19|20|38)|5[678]\d\d|5893|6304|6390|67(?:59|6[1-3])|0604)\d{8,15}   # Maestro
    | 220[0-4]\d{12,15}                                                    # Mir
    | (?:60[68]\d|81\d\d|508\d)\d{12}                                      # RuPay, Elo, Verve
    | 1(?:22|[13]\d)\d{12}                                                 # UATP
    """,
    re.VERBOSE,
)
# How cards are printed: in fours, as 4-6-5 (American Express) or as 4-6-4 (Diners Club).
_PRINTED = re.compile(r"(?:4,){3}[1-4],|(?:4,){4}3,|4,6,[45],")


_WRAPPED = re.compile(
    r"(?<![\w.])(\d{4}(?:[ -]\d{4}){1,2}|\d{6,12})[ -]?[ \t]*\r?\n[ \t>]*(\d{4}(?:[ -]\d{3,4}){1,2}|\d{4,12})(?![\w.])"
)
# The two parts of a card that is told in two texts: four digits or more each, at the end of one and early in the other.
_LAST_DIGITS = re.compile(r"(?<![\w.-])(\d{4,}(?:[ -]\d{2,})*)[^\w]{0,6}$")
_ENDS_WITH_DIGITS = re.compile(r"\d[^\w]{0,6}$")
_FIRST_DIGITS = re.compile(r"[^\d]{0,40}?(?<![\w.-])(\d{4,}(?:[ -]\d{2,})*)(?![\w.]*\w)")
_SHORTEST_SPLIT = 14
_PLAIN_SEPARATORS, _BRACKETS = frozenset("-._/"), frozenset("()")
_LONGEST_LIST = 8
_SHORTEST, _LONGEST = 12, 19


def find_cards(view: View) -> Iterator[Span]:
    """Cards in digits alone or as they are printed; beside a card word in any grouping."""
    for number in view.numbers:
        if len(number.digits) >= _SHORTEST:
            yield from _cards_in(view, number)
        else:
            yield from _wrapped_card(view, number)


def _wrapped_card(view: View, number: Number) -> Iterator[Span]:
    """A card that a line break cuts in two."""
    match = _WRAPPED.match(view.text, number.start) if "\n" in view.text[number.end : number.end + 3] else None
    if match is not None:
        digits = re.sub(r"\D", "", match.group())
        if len(digits) >= 14 and is_card(digits, named=False):
            yield Span(Kind.PAYMENT_CARD, match.start(), match.end())


def _cards_in(view: View, number: Number) -> Iterator[Span]:
    named = CARD_WORDS.near(view, number.start, number.end, before=60)
    if number.touches_after:
        return
    # A group that a letter touches is the end of an id; what stands apart behind it may still be a card.
    position = 1 if number.touches_before and not named else 0
    if not named and follows_product_word(view, number.start):
        return
    if len(number.groups) > _LONGEST_LIST and len(number.digits) > _LONGEST:
        yield from _cards_in_list(number, named=named)
        return
    plain = len(number.separators) <= 1 and number.separators <= _PLAIN_SEPARATORS
    tidy = plain or number.separators == _BRACKETS
    while position < len(number.groups):
        rest = number.groups[position : position + _LONGEST]
        length = _longest_card(
            rest,
            whole=len(number.groups),
            tidy=tidy,
            named=named,
            after_point=view.text[max(0, rest[0].start - 1) : rest[0].start] == ".",
        )
        if length:
            yield Span(Kind.PAYMENT_CARD, rest[0].start, rest[length - 1].end)
        position += length or 1


def _cards_in_list(number: Number, *, named: bool) -> Iterator[Span]:
    """A long list of numbers holds a card only in one group, or beside a card word in groups of four."""
    position = 0
    while position < len(number.groups):
        group = number.groups[position]
        if len(group.digits) >= _SHORTEST and len(group.digits) <= _LONGEST and is_card(group.digits, named=named):
            yield Span(Kind.PAYMENT_CARD, group.start, group.end)
        fours = number.groups[position : position + 4] if named and len(group.digits) == 4 else ()
        if [len(four.digits) for four in fours] == [4, 4, 4, 4] and is_card(
            "".join(f.digits for f in fours), named=False
        ):
            yield Span(Kind.PAYMENT_CARD, group.start, fours[-1].end)
            position += 3
        position += 1


def _longest_card(groups: tuple[Group, ...], *, whole: int, tidy: bool, named: bool, after_point: bool) -> int:
    """How many of the groups, from the first, make a card; 0 if none do. Behind a point a group alone is a fraction."""
    digits = shape = ""
    longest = 0
    for count, group in enumerate(groups, start=1):
        digits += group.digits
        shape += f"{len(group.digits)},"
        if len(digits) > _LONGEST:
            break
        printed = (count == 1 and not after_point) or (
            tidy and (count == whole or _PRINTED.fullmatch(shape) is not None)
        )
        if len(digits) >= _SHORTEST and (printed or named) and is_card(digits, named=named):
            longest = count
    return longest


def is_card(digits: str, *, named: bool) -> bool:
    """Whether 12 to 19 digits are a card. Beside a card word the check digit is enough; else the issuer is known."""
    if not luhn(digits) or len(set(digits)) == 1:
        return False
    return named or (_ISSUED.fullmatch(digits) is not None and not (len(digits) in {12, 13, 14} and ean(digits)))


def is_split_card(before: str, after: str) -> bool:
    """Whether the last digits of one text and the first of another are the two parts of one card."""
    if _ENDS_WITH_DIGITS.search(before[-7:]) is None:
        return False
    first, second = _LAST_DIGITS.search(before), _FIRST_DIGITS.match(after)
    if first is None or second is None:
        return False
    digits = re.sub(r"\D", "", first.group(1) + second.group(1))
    return _SHORTEST_SPLIT <= len(digits) <= _LONGEST and is_card(digits, named=False)
