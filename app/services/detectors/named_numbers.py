"""Numbers that only the word beside them makes personal: accounts, passports, patients, policies, births."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.services.detectors import checksums
from app.services.detectors.identifiers import is_ssn
from app.services.detectors.kinds import Kind, Span
from app.services.detectors.normalise import View
from app.services.detectors.vocabulary import Vocabulary, any_may_occur

_AHEAD, _BEHIND = 50, 25


def _always(_: str) -> bool:
    return True


def _bsn(digits: str) -> bool:
    return checksums.weighted(digits.zfill(9), weights=(9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _nhs(digits: str) -> bool:
    return checksums.weighted(digits, weights=range(10, 1, -1)) % 11 == (11 - int(digits[9])) % 11


def _aba(digits: str) -> bool:
    return checksums.weighted(digits, weights=(3, 7, 1) * 3) % 10 == 0


@dataclass(frozen=True, slots=True)
class _Rule:
    """`check` sees the digits alone, or the whole value where it has letters."""

    kind: Kind
    words: Vocabulary
    pattern: re.Pattern[str]
    check: Callable[[str], bool] = _always


def _digits(length: str) -> re.Pattern[str]:
    """So many digits, with a sign or a space between any two."""
    return re.compile(rf"(?<![\w$€£])(?<!\d[.,])\d(?:[ ./:_-]?\d){{{length}}}(?![\w%]|[.,]\d)")


_CODE = re.compile(
    r"(?<![A-Za-z0-9$€£])(?=[A-Za-z-]{0,5}(?:\d[A-Za-z .-]{0,2}){5})[A-Za-z0-9](?:[-.]?[A-Za-z0-9]"
    r"| \d){4,19}(?![A-Za-z0-9])"
)
_DATE = re.compile(
    r"(?<![\d.])(?:(?:19|20)\d\d[-./\u5e74 ]{1,2}\d{1,2}[-./\u6708 ]{1,2}\d{1,2}\u65e5?|\d{1,2}(?:st|nd|rd"
    r"|th|\.|er)?[-./ ]{1,2}(?:of |de |den )?"
    r"(?:\d{1,2}|[a-z]{3,10}\.?)[-./, ]{1,2}(?:de |del )?(?:19|20)?\d\d|[a-z]{3,9}\.? \d{1,2}(?:st|nd|rd"
    r"|th)?,? (?:19|20)\d\d)(?!\d)"
)

_RULES = (
    _Rule(
        Kind.NATIONAL_ID,
        Vocabulary("ssn, ssns, social security, socialsecurity, itin, taxpayer, tax id, tin, social"),
        _digits("8"),
        is_ssn,
    ),
    _Rule(
        Kind.NATIONAL_ID,
        Vocabulary("sin, nas, social insurance, numéro d'assurance sociale"),
        _digits("8"),
        checksums.luhn,
    ),
    _Rule(Kind.NATIONAL_ID, Vocabulary("bsn, burgerservicenummer, sofinummer"), _digits("7,8"), _bsn),
    _Rule(Kind.MEDICAL_ID, Vocabulary("nhs"), _digits("9"), _nhs),
    _Rule(Kind.NATIONAL_ID, Vocabulary("aadhaar, aadhar, uidai, uid"), _digits("11"), checksums.verhoeff),
    _Rule(
        Kind.NATIONAL_ID,
        Vocabulary(
            "national id, national identity, national identification, identity number, identity card",
            "identity code, id number",
            "id card, id no, identification number, national insurance, personal number, personal id",
            "personal identity, pesel, nip, regon, dowód osobisty, dowodu osobistego, ein, employer identification",
            "personnummer, fødselsnummer, cpr, cpr-nr, cpr-nummer, henkilötunnus, hetu, isikukood",
            "personalausweis, ausweis",
            "ausweisnummer, steuer-id, steueridentifikationsnummer, steuernummer",
            "steuer-identifikationsnummer, idnr, sozialversicherungsnummer",
            "svnr, ahv, ahv-nummer, rvnr, rentenversicherungsnummer, dni, nif, cédula, cedula, curp, rfc, cpf, rg, cnp",
            "codice fiscale, carta d'identità, carte d'identité, numéro de sécurité sociale",
            "sécurité sociale, nir, insee, numéro fiscal",
            "número de identificación, número de identidad, documento de identidad, cartão de cidadão",
            "contribuinte, rijksregisternummer",
            "registre national, rodné číslo, rodne cislo, szemelyi, tckn, tc kimlik, kimlik no, kimlik",
            "turkish id, thai national, tnin, egn",
            "pan number, pan card, pan no, permanent account, gstin, voter, epic, emirates id, nric",
            "fin number, rrn, frn, brn, nin, oib, emso, jmbg, amka, tfn, medicare, afm",
            "pnr, id nr, id-nummer, nino, резидент, инн, снилс, 身份证, 身份证号, 身份证号码, マイナンバー",
            "個人番号, บัตรประชาชน",
        ),
        _CODE,
    ),
    _Rule(
        Kind.PASSPORT,
        Vocabulary(
            "passport, passports, reisepass, reisepassnummer, passnummer, passeport, pasaporte",
            "passaporto, passaporte, paspoort",
            "paspoortnummer, paszport, paszportu, pasnummer, passi, útlevél, pașaport, паспорт, паспорта",
            "διαβατήριο, pasaport, 护照, 护照号, パスポート, 旅券",
        ),
        _CODE,
    ),
    _Rule(
        Kind.DRIVING_LICENCE,
        Vocabulary(
            "driving licence, driving license, driver license, driver licence, driver's license",
            "driver's licence, drivers license, dl number",
            "drivers licence, licence number, license number, führerschein, führerscheinnummer",
            "fahrerlaubnis, permis de conduire",
            "permiso de conducir, licencia de conducir, patente di guida, patente, rijbewijs, prawo jazdy",
            "körkort, 驾驶证, 驾照",
        ),
        _CODE,
    ),
    _Rule(Kind.BANK_ACCOUNT, Vocabulary("routing, aba, rtn"), _digits("8"), _aba),
    _Rule(
        Kind.BANK_ACCOUNT,
        Vocabulary(
            "account number, account numbers, account no, account nr, account #, account:, acct, acct no",
            "bank account, checking account, a/c no",
            "savings account, account is, bank acct, kontonummer, konto-nr, konto nr, kontonr",
            "numéro de compte, número de cuenta, cuenta bancaria",
            "numero di conto, conto corrente, número da conta, conta bancária, rekeningnummer",
            "bankrekening, numer konta, rachunek",
            "konto bankowe, tilinumero, bankkonto, sort code, bsb, clabe, расчетный счет, номер счета, 账号",
            "账户, 银行账号, 帐号, 口座番号",
        ),
        _digits("5,19"),
    ),
    _Rule(
        Kind.MEDICAL_ID,
        Vocabulary(
            "mrn, medical record, medical records, medical id, patient id, patient no, patient number",
            "patient identifier, chart number, chart no, npi",
            "health record, health card, health number, hospital number, hospital no, medicare, medicaid",
            "dea, patientennummer, patienten-id",
            "krankenakte, fallnummer, dossier médical, numéro de dossier, numéro de patient",
            "historia clínica, historial médico",
            "cartella clinica, tessera sanitaria, prontuário, patiëntnummer, nr pacjenta, potilasnumero",
            "lanr, arztnummer, bsnr, 病历号, 病案号, 住院号, 患者番号",
        ),
        _CODE,
    ),
    _Rule(
        Kind.INSURANCE_ID,
        Vocabulary(
            "policy number, policy no, policy #, policy id, insurance number, insurance no, insurance id",
            "insurance policy, insurance card, member id, member number",
            "subscriber id, group number, beneficiary, medicare, versicherungsnummer, versichertennummer",
            "versicherten-nr, krankenversichertennummer",
            "kvnr, krankenkasse, police d'assurance, numéro d'assuré, numéro de police, número de póliza",
            "número de seguro, numero di polizza, polizza",
            "apólice, polisnummer, verzekeringsnummer, numer polisy, polisa, vakuutusnumero",
            "försäkringsnummer, 保单号, 医保卡号, 社保号, 保険証番号",
        ),
        _CODE,
    ),
    _Rule(
        Kind.BIRTH_DATE,
        Vocabulary(
            "date of birth, dob, d.o.b, birth date, birthdate, birthday, born, geboren, geburtsdatum, geb",
            "geburtstag, date de naissance, né le, née le, né, née",
            "fecha de nacimiento, nacido el, nacida el, nacido, nacida, data di nascita, nato il, nata il",
            "nato, nata, data de nascimento, nascido em, nascida em",
            "geboortedatum, geboren op, data urodzenia, urodzony, urodzona, ur, født, fødselsdato, född",
            "födelsedatum, syntymäaika, syntynyt, datum narození",
            "születési dátum, data nașterii, дата рождения, родился, родилась, doğum tarihi, γεννήθηκε",
            "出生日期, 出生于, 出生, 生日, 生年月日, 생년월일",
        ),
        _DATE,
    ),
)

_KEYWORDS = frozenset().union(*(rule.words.keywords for rule in _RULES))


def find_named_numbers(view: View) -> Iterator[Span]:
    """The value nearest behind each word that names one, or else the one in front of it."""
    for rule in _RULES if any_may_occur(view, _KEYWORDS) else ():
        for start, end in rule.words.places(view):
            match = _value(view.lower, start, end, rule)
            if match is not None:
                yield Span(rule.kind, match.start(), match.end())


def _value(text: str, start: int, end: int, rule: _Rule) -> re.Match[str] | None:
    ahead = [match for match in rule.pattern.finditer(text, end, end + _AHEAD + 30) if match.start() <= end + _AHEAD]
    behind = [*rule.pattern.finditer(text, max(0, start - _BEHIND), start)][-1:]
    for match in ahead or behind:
        compact = re.sub(r"[^A-Za-z0-9]", "", match.group())
        if rule.check(compact):
            return match
    return None
