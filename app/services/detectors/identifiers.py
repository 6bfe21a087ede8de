"""Identity numbers whose own form and check digits say what they are, and account numbers of that kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.services.detectors import checksums
from app.services.detectors.kinds import Kind, Span
from app.services.detectors.normalise import View
from app.services.detectors.products import follows_product_word
from app.services.detectors.vocabulary import Vocabulary

Check = Callable[[str], bool]

# A code: letters and digits with a digit among the first seven characters, groups joined by a sign.
_CODE = re.compile(r"(?<![A-Za-z0-9_])(?=[A-Za-z]{0,6}\d)[A-Za-z0-9]+(?:[-+./][A-Za-z0-9]+)*(?![A-Za-z0-9_])")
_SHORTEST_CODE, _LONGEST_CODE = 8, 24
_SEPARATED_SSN = re.compile(r"(?<![\w-])(?<!\d\.)(\d{3})([-. ]|[ ]-[ ])(\d{2})\2(\d{4})(?![\w-]|\.\d)")
_SPACED_NINO = re.compile(r"(?<![a-z0-9])[a-z]{2} ?\d{2} ?\d{2} ?\d{2} ?[a-d](?![a-z0-9])")
_SPACED_NIR = re.compile(r"(?<![\w.])[12] \d\d \d\d \d[\dAB] \d{3} \d{3}(?: ?\d\d)(?!\w)")
_IBAN_START = re.compile(r"(?<![a-z0-9])[a-z]{2}\d{2}(?=[ -]?[a-z0-9]{2})")
_BITCOIN = re.compile(
    r"(?<![A-Za-z0-9])(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|(bc|tb)1([02-9ac-hj-np-z]{38,60}))(?![A-Za-z0-9])"
)
_ETHEREUM = re.compile(r"(?<![A-Za-z0-9])0x[0-9A-Fa-f]{40}(?![A-Za-z0-9])")
_WALLET_WORDS = Vocabulary("wallet, ethereum, eth, metamask, usdt, crypto, erc, portefeuille, billetera, cartera, 钱包")

# Country -> length, from the SWIFT IBAN registry.
_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE", "18": "DK FI FO GL NL SD FK", "19": "MK SI", "20": "AT BA EE KZ LT LU MN XK",
        "21": "CH HR LI LV", "22": "BG BH CR DE GB GE IE ME RS VA", "23": "AE GI IL IQ OM TL SO",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST", "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HU LB NI PL SV", "29": "BR EG PS QA UA", "30": "JO KW MU YE", "31": "MT SC",
        "32": "LC", "33": "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip

_NIF_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_HETU_CHARACTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_FISCAL_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10,
     22, 25, 24, 23),
    strict=True))  # fmt: skip


def _digits(code: str) -> str:
    return "".join(filter(str.isdigit, code))


def _nif(code: str) -> bool:
    """Spain's DNI, and the NIE of foreigners, whose first letter X, Y, Z counts as 0, 1, 2."""
    first = str("XYZ".index(code[0])) if code[0] in "XYZ" else ""
    return _NIF_LETTERS[int(first + _digits(code)) % 23] == code[-1]


def _fiscal_code(code: str) -> bool:
    """Italy's codice fiscale (Decree of 23 December 1976)."""
    values = [
        _FISCAL_ODD[c] if i % 2 == 0 else (int(c) if c.isdigit() else ord(c) - 65) for i, c in enumerate(code[:15])
    ]
    return chr(65 + sum(values) % 26) == code[15]


def _hetu(code: str) -> bool:
    """Finland's personal identity code: the nine digits modulo 31."""
    century = 1800 if code[6] == "+" else 2000 if code[6] in "ABCDEF" else 1900
    dated = checksums.is_date(year=century + int(code[4:6]), month=int(code[2:4]), day=int(code[:2]))
    return dated and _HETU_CHARACTERS[int(code[:6] + code[7:10]) % 31] == code[10]


def _nric(code: str) -> bool:
    """Singapore's NRIC and FIN."""
    total = checksums.weighted(code[1:8], weights=(2, 7, 6, 5, 4, 3, 2))
    if code[0] in "ST":
        return "JZIHGFEDCBA"[(total + 4 * (code[0] == "T")) % 11] == code[8]
    if code[0] in "FG":
        return "XWUTRQPNMLK"[(total + 4 * (code[0] == "G")) % 11] == code[8]
    return "XWUTRQPNJLK"[10 - (total + 3) % 11] == code[8]


def _german_document(code: str) -> bool:
    """Germany's identity card and passport: eight or nine characters and their ICAO check digit."""
    return any(c.isalpha() for c in code) and checksums.icao(code[:-1]) == int(code[-1])


def _german_pension(code: str) -> bool:
    """Germany's pension insurance number: the letter as two digits, cross sums of weighted digits."""
    digits = code[:8] + f"{ord(code[8]) - 64:02d}" + code[9:11]
    products = (int(d) * w for d, w in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True))
    day, month = int(code[2:4]), int(code[4:6])
    return day <= 81 and 1 <= month <= 12 and sum(sum(divmod(p, 10)) for p in products) % 10 == int(code[11])


def _german_health(code: str) -> bool:
    """Germany's health insurance number: the letter as two digits, weights 1 and 2, cross sums."""
    digits = f"{ord(code[0]) - 64:02d}" + code[1:9]
    products = (int(d) * (1 + i % 2) for i, d in enumerate(digits))
    return sum(sum(divmod(p, 10)) for p in products) % 10 == int(code[9])


def _gstin(code: str) -> bool:
    """India's GSTIN: it begins with the number of a state; its form says the rest, as many in use fail the check."""
    return 1 <= int(code[:2]) <= 37 or code[:2] in {"97", "99"}


def _curp(code: str) -> bool:
    return checksums.is_date(year=2000, month=int(code[6:8]), day=int(code[8:10]))


def _resident_id(code: str) -> bool:
    """China's resident identity number: ISO 7064 MOD 11-2 and a birth date."""
    total = checksums.weighted(code[:17], weights=[pow(2, 17 - i, 11) for i in range(17)])
    dated = checksums.is_date(year=int(code[6:10]), month=int(code[10:12]), day=int(code[12:14]))
    return dated and "10X98765432"[total % 11] == code[17]


def _resident_registration(code: str) -> bool:
    """South Korea's RRN and FRN: a birth date and a century; those issued since 2020 have no check digit."""
    digits = _digits(code)
    century = {"1": 1900, "2": 1900, "5": 1900, "6": 1900}.get(digits[6], 2000)
    return checksums.is_date(year=century + int(digits[:2]), month=int(digits[2:4]), day=int(digits[4:6]))


def _cnpj(code: str) -> bool:
    """Brazil's CNPJ of a business, often a person's own: two check digits modulo 11."""
    digits = _digits(code)
    weights = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
    first = 11 - checksums.weighted(digits, weights=weights[1:]) % 11
    second = 11 - checksums.weighted(digits, weights=weights) % 11
    return digits[12:] == f"{first % 11 % 10}{second % 11 % 10}"


def cpf(code: str) -> bool:
    """Brazil's CPF: two check digits modulo 11."""
    digits = _digits(code)
    first = checksums.weighted(digits, weights=range(10, 1, -1)) * 10 % 11 % 10
    second = checksums.weighted(digits, weights=range(11, 1, -1)) * 10 % 11 % 10
    return len(set(digits)) > 1 and digits[9:] == f"{first}{second}"


def _belgian(code: str) -> bool:
    """Belgium's national register number: 97 less the remainder of the first nine digits, 2 before it from 2000 on."""
    digits = _digits(code)
    return int(digits[9:]) in {97 - int(digits[:9]) % 97, 97 - int("2" + digits[:9]) % 97}


def personnummer(code: str) -> bool:
    """Sweden's personnummer: a birth date (coordination numbers add 60 to the day) and Luhn's check."""
    digits = _digits(code)[-10:]
    return 1 <= int(digits[2:4]) <= 12 and 1 <= int(digits[4:6]) % 60 <= 31 and checksums.luhn(digits)


def _ahv(code: str) -> bool:
    return checksums.ean(_digits(code))


def _south_african(code: str) -> bool:
    return checksums.is_date(year=2000, month=int(code[2:4]), day=int(code[4:6])) and checksums.luhn(code)


def _norwegian(code: str) -> bool:
    """Norway's fødselsnummer: a birth date and two check digits modulo 11."""
    dated = checksums.is_date(year=2000, month=int(code[2:4]), day=int(code[0:2]))
    first = -checksums.weighted(code, weights=(3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11
    second = -checksums.weighted(code, weights=(5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return dated and code[9:] == f"{first}{second}"


def _nir(code: str) -> bool:
    """France's NIR: 97 less the remainder; Corsica's 2A and 2B count as 19 and 18."""
    digits = code.replace(" ", "").replace("2A", "19").replace("2B", "18")
    month = int(digits[3:5])
    return (1 <= month <= 12 or 20 <= month <= 42) and 97 - int(digits[:13]) % 97 == int(digits[13:])


def _any(_: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class _Form:
    kind: Kind
    pattern: re.Pattern[str]
    check: Check


def _form(kind: Kind, pattern: str, check: Check) -> _Form:
    return _Form(kind, re.compile(pattern), check)


_MBI_LETTER, _MBI_ANY = "[AC-HJKMNP-RT-Y]", "[AC-HJKMNP-RT-Y0-9]"
_FORMS = (
    _form(Kind.NATIONAL_ID, r"(?:\d{7,8}|\d{2}\.\d{3}\.\d{3})-?[A-HJ-NP-TV-Z]|[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]", _nif),
    _form(Kind.NATIONAL_ID, r"[A-Z]{6}[\dL-NP-V]{2}[A-EHLMPRST][\dL-NP-V]{2}[A-Z][\dL-NP-V]{3}[A-Z]", _fiscal_code),
    _form(Kind.NATIONAL_ID, r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", _hetu),
    _form(Kind.NATIONAL_ID, r"[STFGM]\d{7}[A-Z]", _nric),
    _form(Kind.PASSPORT, r"[CFGHJKLMNPRTVWXYZ][0-9CFGHJKLMNPRTVWXYZ]{7,8}\d", _german_document),
    _form(Kind.INSURANCE_ID, r"\d{8}[A-Z]\d{3}", _german_pension),
    _form(Kind.INSURANCE_ID, r"[A-Z]\d{9}", _german_health),
    _form(Kind.NATIONAL_ID, r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]", _any),
    _form(Kind.NATIONAL_ID, r"[A-Z]{3}[HP][A-Z]\d{4}[A-Z]", _any),
    _form(Kind.NATIONAL_ID, r"\d\d[A-Z]{5}\d{4}[A-Z][1-9A-Z]Z?[0-9A-Z]", _gstin),
    _form(Kind.NATIONAL_ID, r"[A-Z][AEIOUX][A-Z]{2}\d{6}[HMX][A-Z]{2}[B-DF-HJ-NP-TV-Z]{3}[A-Z0-9]\d", _curp),
    _form(Kind.NATIONAL_ID, r"[1-9]\d{5}(?:19|20)\d{2}[01]\d[0-3]\d{4}[\dX]", _resident_id),
    _form(Kind.NATIONAL_ID, r"\d{2}[01]\d[0-3]\d-[1-8]\d{6}", _resident_registration),
    _form(Kind.NATIONAL_ID, r"\d{3}\.\d{3}\.\d{3}-\d{2}", cpf),
    _form(Kind.NATIONAL_ID, r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}", _cnpj),
    _form(Kind.NATIONAL_ID, r"\d{2}\.\d{2}\.\d{2}-\d{3}[.-]\d{2}", _belgian),
    _form(Kind.NATIONAL_ID, r"(?:19|20)?\d{6}[-+]\d{4}", personnummer),
    _form(Kind.NATIONAL_ID, r"756\.\d{4}\.\d{4}\.\d{2}", _ahv),
    _form(Kind.NATIONAL_ID, r"\d{2}[01]\d[0-3]\d{5}[01][89]\d", _south_african),
    _form(Kind.NATIONAL_ID, r"[0-3]\d[01]\d{8}", _norwegian),
    _form(Kind.NATIONAL_ID, r"[12]\d{2}[0-4]\d(?:\d{2}|2[AB])\d{8}", _nir),
    _form(Kind.MEDICAL_ID, rf"[1-9]{_MBI_LETTER}{_MBI_ANY}\d-?{_MBI_LETTER}{_MBI_ANY}\d-?{_MBI_LETTER}{{2}}\d\d", _any),
    _form(Kind.DRIVING_LICENCE, r"[A-Z][A-Z9]{4}\d[0156]\d[0-3]\d\d[A-Z9]{2}[0-9A-Z]\d?[A-Z]{2}", _any),
)  # fmt: skip


def find_codes(view: View) -> Iterator[Span]:
    """Identity numbers with letters and a check, or with two checks, or with a birth date and a check."""
    for match in _CODE.finditer(view.text):
        if _SHORTEST_CODE <= match.end() - match.start() <= _LONGEST_CODE:
            kind = _kind_of(match.group().upper())
            if kind is not None and not follows_product_word(view, match.start()):
                yield Span(kind, match.start(), match.end())


def _kind_of(code: str) -> Kind | None:
    for form in _FORMS:
        if form.pattern.fullmatch(code) and form.check(code):
            return form.kind
    return None


def find_spaced_codes(view: View) -> Iterator[Span]:
    """Separated US social security numbers and ITINs, spaced British and French numbers."""
    for start, end in view.digit_runs:
        for match in _SEPARATED_SSN.finditer(view.text, start, end + 1):
            if is_ssn(match.group(1) + match.group(3) + match.group(4)):
                yield Span(Kind.NATIONAL_ID, match.start(), match.end())
        nino = _SPACED_NINO.match(view.lower, max(0, start - 3)) or _SPACED_NINO.match(view.lower, max(0, start - 2))
        if nino is not None and _kind_of(nino.group().upper().replace(" ", "")) is not None:
            yield Span(Kind.NATIONAL_ID, nino.start(), nino.end())
        nir = _SPACED_NIR.match(view.text, start)
        if nir is not None and _nir(nir.group()):
            yield Span(Kind.NATIONAL_ID, nir.start(), nir.end())


def is_ssn(digits: str) -> bool:
    """Whether the US issues the number, as a social security number or as an ITIN; its published samples are none."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if group == "00" or serial == "0000" or digits in {"078051120", "219099999"}:
        return False
    if area[0] == "9":
        return 50 <= int(group) <= 99 and int(group) not in {66, 67, 68, 69, 89, 93}
    return area not in {"000", "666"}


def find_ibans(view: View) -> Iterator[Span]:
    """International bank account numbers of the registered length whose check digits hold."""
    for match in _IBAN_START.finditer(view.lower):
        length = _IBAN_LENGTHS.get(match.group()[:2].upper())
        end = _end_of_iban(view.lower, match.start(), length) if length else None
        if end is not None:
            yield Span(Kind.IBAN, match.start(), end)


def _end_of_iban(text: str, start: int, length: int) -> int | None:
    compact, position = "", start
    while len(compact) < length:
        character = text[position : position + 1]
        if character.isascii() and character.isalnum():
            compact += character.upper()
        elif character not in {" ", "-"} or not compact or text[position - 1] in {" ", "-"}:
            return None
        position += 1
    if text[position : position + 1].isalnum() or checksums.mod97(compact[4:] + compact[:4]) != 1:
        return None
    return position


def find_wallets(view: View) -> Iterator[Span]:
    """Bitcoin addresses by their check, Ethereum addresses beside a word that says so."""
    for start, end in view.long_tokens:
        for match in _BITCOIN.finditer(view.text, start, end):
            prefix, data = match.groups()
            if checksums.bech32(prefix, data) if prefix else checksums.base58check(match.group()):
                yield Span(Kind.CRYPTO_WALLET, match.start(), match.end())
    if _WALLET_WORDS.occurs(view):
        for match in _ETHEREUM.finditer(view.text):
            if _WALLET_WORDS.near(view, match.start(), match.end()):
                yield Span(Kind.CRYPTO_WALLET, match.start(), match.end())
