"""Postal addresses: streets with house numbers and towns with codes, as European languages and Chinese write them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.services.detectors.kinds import Kind, Span
from app.services.detectors.normalise import View
from app.services.detectors.vocabulary import Vocabulary, words

_UNIT = r"(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Fl|Room|#)\.? ?#?\w{1,6})?"
_STATE = (
    r"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|P[AR]|RI|S[CD]|T[NX]|UT"
    r"|V[AT]|W[AIVY])"
)
_NAME = r"[A-Z][\w'.-]{1,24}"
_US_STREET = re.compile(
    rf"\d(?<![\w.,$].)(?!(?:(?<=1)[5-9]|(?<=2)0)\d\d,)\d{{0,5}}[A-Z]?,? "
    rf"(?:[NSEW]{{1,2}}\.? |North |South |East |West )?(?:{_NAME} "
    rf"|\d{{1,3}}(?:st|nd|rd|th) ){{1,4}}"
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Drive|Dr|Lane|Ln|Court|Ct|Terrace|Circle|Cir|Parkway"
    r"|Pkwy|Highway|Hwy|Crescent|Close|Gardens|Square|Sq|Grove|Mews|Walk|Way|Place|Pl)\b"
    rf"\.?{_UNIT}"
)
_US_TOWN = re.compile(rf"{_NAME}(?: {_NAME}){{0,2}},? {_STATE},? \d{{5}}(?:-\d{{4}})?(?!\d)")
_MILITARY = re.compile(
    r"(?:PSC \d{1,5},? Box \d{1,5}|Unit \d{1,5},? Box \d{1,5}|USNS \w+|USS \w+)?\s{0,3}(?:APO|FPO"
    r"|DPO),? A[AEP],? \d{5}(?!\d)"
)
_BOX = re.compile(
    r"(?:P\.? ?O\.? ?Box|Postfach|Apartado(?: de Correos)?|Casella Postale|Boite Postale|Postbus"
    r"|Postboks) \d{1,6}(?!\d)"
)
# Germanic, Nordic, Finnish: the kind of street ends the word, the number follows.
_STREET_ENDINGS = (
    "straße", "strasse", "str", "weg", "platz", "allee", "gasse", "damm", "ufer", "chaussee", "steig", "markt",
    "straat", "laan", "plein", "gracht", "kade", "singel", "gatan", "vagen", "veien", "vegen", "vej", "gade",
    "gata", "katu", "kuja", "stigen", "torget", "utca",
)  # fmt: skip
_HOUSE_NUMBER = re.compile(r"\.? (?!(?:19|20)\d\d(?!\d))\d{1,4} ?[a-zA-Z]?(?![\w%]|[.,]\d)")
_NAMES_BEFORE = re.compile(r"(?:[A-Z][\w.-]{1,30}[ -]){0,3}$")
_FRENCH = re.compile(
    r"\d(?<![\w.].)\d{0,3}(?: ?(?:bis|ter|[A-D]))?,? (?i:rue|avenue|boulevard|bd|av\.|place|chemin|impasse"
    r"|allee|quai|route|cours"
    r"|passage) (?:de |du |des |de la |de l'|d'|la |le |les )?[A-Z][\w'-]+"
)
_ROMANCE = re.compile(
    r"(?<!\w)(?:Calle|C/|Avda\.?|Avenida|Av\.|Plaza|Paseo|Camino|Carrer|Via|Viale|Piazza|Corso|Vicolo|Largo"
    r"|Rua|Travessa|Praca|Alameda|ul\.|ulica|al\.|aleja|os\.|Strada|Bulevardul|Calea|ulice|nam\.) ?"
    r"(?:(?:de|del|della|dei|di|da|do|dos|la|las|los|el|e|y|san"
    r"|santa)[ ']){0,2}[A-Z][\w'.-]{1,24}(?: (?:(?:de|del|di|da|do|la|e"
    r"|y) )?[A-Z][\w'.-]{1,24}){0,3},? (?:n[.oº\u00b0]{0,2} ?|No\.? ?|nr\.? ?)?\d{1,4}(?![\w%]|[.,]\d)"
)
_SLAVIC = re.compile(
    r"(?:ул\.|улица|проспект"
    r"|пр\."
    r"|переулок) ?[\u0400-\u04ff .-]{3,40},? (?:д\.? ?"
    r"|дом )?\d{1,4}"
)
_CHINESE_HOUSE = re.compile(r"\d{1,5}[号弄栋楼室](?!线)")
_CHINESE_STREET = re.compile(
    r"[\u4e00-\u9fff\d]{0,20}(?:[路街巷弄]|大道|胡同)[甲乙丙丁]?$"
    r"|[\u4e00-\u9fff]{2,8}[省市][\u4e00-\u9fff]{1,8}[区县市镇][\u4e00-\u9fff]{0,12}$"
)
_UK_POSTCODE = re.compile(
    r"(?<![\w-])(?:GIR 0AA|(?:[A-PR-UWYZ][A-HK-Y]?\d[0-9A-HJKPSTUW]?) \d[ABD-HJLNP-UW-Z]{2})(?!\w)"
)
_POSTCODE_WORDS = Vocabulary(
    "address, addresses, postcode, post code, postal code, zip, zip code, plz, postleitzahl, code postal",
    "codigo postal, cap, cep, postcode, adresse, anschrift",
    "wohnhaft, wohnt, adresse, domicilio, direccion, indirizzo, residente, morada, endereco, adres, lives",
    "live, living, street, road, deliver, ship, house, home",
    "地址, 住址, 住在, 邮编, 住所",
)
_CODE_AND_TOWN = re.compile(r"(?<![\w.,$-])(?:[A-Z]{1,2}-)?\d{4,5} [A-Z][a-z]{2,20}(?:[ -][A-Z][a-z]{1,20}){0,2}(?!\w)")
_STREET_WORDS = words(
    "street st avenue ave road rd boulevard blvd drive dr lane ln court ct terrace circle cir parkway pkwy "
    "highway hwy crescent close gardens square sq grove mews walk way place pl"
)
_FRENCH_WORDS = words("rue avenue boulevard bd av place chemin impasse allee quai route cours square passage")
_ROMANCE_WORDS = words(
    "calle c avda avenida av plaza paseo camino carrer via viale piazza corso vicolo largo rua travessa praca "
    "alameda ul ulica al aleja os strada bulevardul calea ulice nam"
)
_BOX_WORDS = words("box postfach apartado casella boite postbus postboks")
_MILITARY_WORDS = frozenset({"apo", "fpo", "dpo"})
_UNIT_WORDS = frozenset({"apt", "apartment", "suite", "unit"})
_NUMBERED_UNIT = re.compile(
    rf"[A-Z\d](?<![\w.$].)(?:(?<=\d)\d{{0,5}},? (?:{_NAME},? ){{0,4}}"
    rf"|(?<=[A-Z])[\w'.-]{{1,24}} (?:{_NAME} ){{0,3}}\d{{1,5}},?\s{{1,3}})(?:{_NAME} ){{0,2}}(?:Apt|Apartment|Suite|Ste"
    rf"|Unit)\.? ?#?\d{{1,5}}(?!\w)"
)


def find_postal_addresses(view: View) -> Iterator[Span]:
    """Streets with a number, towns with a code, boxes; bare postcodes only beside a word of address."""
    for pattern in _patterns(view):
        for match in pattern.finditer(view.text):
            yield Span(Kind.POSTAL_ADDRESS, match.start(), match.end())
    for word in view.words:
        if word.endswith(_STREET_ENDINGS):
            yield from _streets_on(view, word)
    if view.is_unspaced:
        yield from _chinese_addresses(view)
    if _POSTCODE_WORDS.occurs(view):
        for pattern in (_UK_POSTCODE, _CODE_AND_TOWN):
            for match in pattern.finditer(view.text):
                if _POSTCODE_WORDS.near(view, match.start(), match.end(), before=60):
                    yield Span(Kind.POSTAL_ADDRESS, match.start(), match.end())


def _streets_on(view: View, word: str) -> Iterator[Span]:
    """A word such as "Musterstraße" with a house number behind it. A bare ending ("weg") must begin with a capital."""
    position = view.lower.find(word)
    while position >= 0:
        number = _HOUSE_NUMBER.match(view.text, position + len(word))
        if number is not None and (word not in _STREET_ENDINGS or view.text[position].isupper()):
            names = _NAMES_BEFORE.search(view.text[max(0, position - 70) : position])
            yield Span(Kind.POSTAL_ADDRESS, position - len(names.group() if names else ""), number.end())
        position = view.lower.find(word, position + len(word))


def _chinese_addresses(view: View) -> Iterator[Span]:
    end = 0
    for number in _CHINESE_HOUSE.finditer(view.text):
        start = max(end, number.start() - 24)
        street = _CHINESE_STREET.search(view.text[start : number.start()])
        if street is not None:
            end = number.end()
            yield Span(Kind.POSTAL_ADDRESS, start + street.start(), end)


def _patterns(view: View) -> Iterator[re.Pattern[str]]:
    """The patterns for which the text has a word."""
    for named, pattern in _BY_WORD:
        if not named.isdisjoint(view.words):
            yield pattern
    if any(end - start >= 5 for start, end in view.digit_runs):
        yield _US_TOWN
    if not view.text.isascii():
        yield _SLAVIC


_BY_WORD = (
    (_STREET_WORDS, _US_STREET),
    (_FRENCH_WORDS, _FRENCH),
    (_ROMANCE_WORDS, _ROMANCE),
    (_BOX_WORDS, _BOX),
    (_MILITARY_WORDS, _MILITARY),
    (_UNIT_WORDS, _NUMBERED_UNIT),
)
