"""Telephone numbers: international, in the shapes of national plans, or beside a word that says so."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.services.detectors.kinds import Kind, Span
from app.services.detectors.normalise import View
from app.services.detectors.numbers import Number
from app.services.detectors.products import follows_product_word
from app.services.detectors.vocabulary import Vocabulary

_PHONE_WORDS = Vocabulary(
    "phone, phones, telephone, tel, telefon, cell, cellphone, mobile, mob, fax, landline, hotline",
    "whatsapp, sms, msisdn, contact number, handy",
    "phone number, my number is, his number is, her number is, call me, call him, call her, text me, ring me",
    "number to call, ph, ph no, cell no, telefonnummer, telefonnr",
    "handynummer, mobilnummer, mobil, rufnummer, anrufen, erreichbar",
    "téléphone, numéro de téléphone, portable, appelez, appeler, joindre, teléfono, telefono, móvil",
    "celular, llame, llamar, telefonino, cellulare",
    "chiama, chiamare, telefone, telemóvel, ligue, telefoon, telefoonnummer, mobiel, bel, komórka",
    "komórkowy, puhelin, puhelinnumero, telefonszám",
    "mobilnr, telefonnummer, tlf, tfn, τηλέφωνο, κινητό, телефон, тел, мобильный, номер телефона, cep",
    "cep no, telefon numarası",
    "电话, 电话号码, 手机, 手机号, 手机号码, 联系方式, 联系电话, 微信, 電話, 携帯, 전화, 휴대폰, โทร, เบอร์",
)

# Words that go with other numbers too: with them a telephone number is written in groups, or has ten digits.
_CALL_WORDS = Vocabulary(
    "call, dial, text, number, numbers, reach, reached, contact, ring, message, rufen, zadzwoń, soita",
    "ringa, ring, llámame, llámeme",
    "chiamami, chiamatemi, appelle, liguem, ligue-me, позвоните, звоните, 拨打, 致电, 联系, 打给, nummer, numéro",
    "número, numero, numer, номер, 号码, 番号",
)

# Country calling code -> shortest and longest national number (ITU-T E.164 list of assigned codes).
_NATIONAL_LENGTHS = {
    "1": (10, 10), "7": (10, 10), "20": (8, 10), "27": (9, 9), "30": (10, 10), "31": (9, 9), "32": (8, 9),
    "33": (9, 9), "34": (9, 9), "36": (8, 9), "39": (6, 11), "40": (9, 9), "41": (9, 9), "43": (6, 13),
    "44": (9, 10), "45": (8, 8), "46": (7, 10), "47": (8, 8), "48": (9, 9), "49": (6, 13), "51": (8, 9),
    "52": (10, 11), "53": (8, 8), "54": (10, 11), "55": (10, 11), "56": (9, 9), "57": (8, 10), "58": (10, 10),
    "60": (8, 10), "61": (9, 9), "62": (8, 12), "63": (8, 10), "64": (8, 10), "65": (8, 8), "66": (8, 9),
    "81": (9, 10), "82": (8, 11), "84": (9, 10), "86": (8, 12), "90": (10, 10), "91": (10, 10), "92": (9, 10),
    "93": (9, 9), "94": (9, 9), "95": (7, 10), "98": (10, 10),
}  # fmt: skip
_THREE_DIGIT_CODES = re.compile(
    r"2(?:1[1-368]|[2-6]\d|9[0179])|3(?:5\d|7[0-8]|8[0-35-79])|42[013]|50\d|59\d|67[02-9]|68\d|69[012]"
    r"|8(?:5[02356]|8[06])|9(?:6\d|7[0-7]|9[2-68])"
)
_NORTH_AMERICAN = re.compile(r"1?[2-9]\d\d[2-9]\d{6}")
_NORTH_AMERICAN_SHAPE = re.compile(
    r"(?:1[-. ]?)?(?:\(?[2-9]\d\d\) ?|[2-9]\d\d(?P<sign>[-.]))[2-9]\d\d(?(sign)(?P=sign)|[-. ])\d{4}"
)
_BRACKETED_SHAPE = re.compile(r"\d{2,4}\) ?\d{3,5}[- ]?\d{3,4}")
_PAIRS = re.compile(r"0[1-9]([ .-])\d\d(?:\1\d\d){3}")
_DATE_IN_RUN = re.compile(
    r"(?<!\d)(?:(?:0?[1-9]|[12]\d|3[01])([-./])(?:0?[1-9]|1[0-2])\1(?:19|20)?\d\d|(?:0?[1-9]"
    r"|1[0-2])([-./])(?:[12]\d|3[01])\2(?:19|20)?\d\d"
    r"|(?:19|20)\d\d([-./])(?:0?[1-9]|1[0-2])\3[0-3]?\d)(?!\d|[-./]\d)"
)
_RESERVED = re.compile(r"(?:1?[2-9]\d\d)?55501\d\d")
_SHORTEST, _LONGEST = 6, 15


def find_phones(view: View) -> Iterator[Span]:
    """Telephone numbers; 555-01xx, which the North American plan keeps for fiction, are none."""
    for number in view.numbers:
        start = _start(view.text, number.start)
        end = _end_of_phone(view, number, start)
        if end is not None and not follows_product_word(view, start):
            yield Span(Kind.PHONE, start, end)


def _start(text: str, start: int) -> int:
    """Where the number starts with its opening bracket and plus sign."""
    while start and text[start - 1] in "(+":
        start -= 1
    return start


def _end_of_phone(view: View, number: Number, start: int) -> int | None:
    """Where the telephone number at the front of the run ends, `None` if it is none."""
    named = _PHONE_WORDS.near(view, start, number.end, before=40, after=15) or _is_called(view, number, start)
    digits, end = _front(number)
    if len(digits) < _SHORTEST or _RESERVED.fullmatch(digits.removeprefix("00").removeprefix("1")):
        return None
    written = view.text[number.start : end]
    prefixed = "+" in view.text[start : number.start]
    if prefixed and _is_international(digits):
        return end
    if number.is_part_of_word or _DATE_IN_RUN.search(written):
        return None
    if named and not prefixed and _is_bare_amount(view.text, start, number.end):
        return None
    whole = end == number.end
    if named or (whole and _has_national_shape(written, digits, number)):
        return end
    return None


def _is_called(view: View, number: Number, start: int) -> bool:
    written_so = len(number.groups) > 1 and len(number.digits) >= 7 and "." not in number.separators
    plain = written_so or (len(number.groups) == 1 and 10 <= len(number.digits) <= 12)
    if len(number.groups) > 1 and _PHONE_WORDS.near(view, start, number.end, before=60, after=45):
        return written_so
    return plain and _CALL_WORDS.near(view, start, number.end, before=25, after=12)


def _front(number: Number) -> tuple[str, int]:
    """As many of the first groups as a telephone number can have."""
    digits, end = "", number.start
    for group in number.groups:
        if len(digits) + len(group.digits) > _LONGEST:
            break
        digits, end = digits + group.digits, group.end
    return digits, end


def _is_international(digits: str) -> bool:
    digits = digits.removeprefix("00")
    for length in (1, 2, 3):
        code, national = digits[:length], digits[length:]
        if code in _NATIONAL_LENGTHS:
            shortest, longest = _NATIONAL_LENGTHS[code]
            trunk = national.startswith("0")
            return shortest <= len(national) - trunk <= longest and (
                code != "1" or _NORTH_AMERICAN.fullmatch(national) is not None
            )
        if length == 3 and _THREE_DIGIT_CODES.fullmatch(code):
            return 6 <= len(national) <= 12
    return False


def _has_national_shape(written: str, digits: str, number: Number) -> bool:
    """Whether the run is written as national plans write numbers, with separators; bare digits never are."""
    if _NORTH_AMERICAN_SHAPE.fullmatch(written) or _PAIRS.fullmatch(written) or _BRACKETED_SHAPE.fullmatch(written):
        return True
    if written.startswith("00"):
        return len(number.groups) > 1 and _is_international(digits)
    count = len(number.groups)
    grouped = 2 <= count <= 5 and 2 <= len(number.groups[0].digits) <= 5 and len(number.groups[-1].digits) > 1
    long_enough = 10 <= len(digits) <= 12 or (len(digits) == 9 and count == 2)
    return digits.startswith("0") and long_enough and grouped and number.separators <= {"-", "/", "(", ")"}


def _is_bare_amount(text: str, start: int, end: int) -> bool:
    """Whether a currency, percent or decimal sign makes the number an amount."""
    return text[max(0, start - 1) : start] in {"$", "€", "£", "¥", "#"} or text[end : end + 1] in {"%", "$", "€"}
