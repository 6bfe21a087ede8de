"""Statements on a named person's health, pay, dismissal or legal case: who, and what is said."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.services.detectors.kinds import Kind, Span
from app.services.detectors.normalise import View
from app.services.detectors.vocabulary import Vocabulary

_TITLE = r"(?:Mr|Mrs|Ms|Miss|Dr|Prof|Herrn?|Frau|Hr|Fr|M|Mme|Mlle|Monsieur|Madame|Sr|Sra|Senor|Senora|Don|Dona|Sig|Signor|Signora|Dott|De heer|Mevrouw|Dhr|Mw|Pan|Pani|Pana|Fru|Rouva|Herra)\.?\s"
_NAME = r"[A-Z][a-z'\u2019-]{1,20}(?:[A-Z][a-z]{1,20})?"
_FULL_NAME = rf"{_NAME}\s(?:[A-Z]\.?\s)?(?:(?:van|von|de|del|della|di|da|der|den|la|le|al|bin|ter)\s){{0,2}}{_NAME}"
_CYRILLIC = r"[\u0410-\u042f\u0401][\u0430-\u044f\u0451]{1,20}"
_ROLE = (
    r"(?:employee|patient|colleague|coworker|co-worker|client|defendant|manager|Mitarbeiter(?:in)?|Patient(?:in)?|Kollegin|Kollege|salarie|patiente|collegue|empleado|empleada"
    r"|paciente|dipendente|paziente|collega|werknemer|pracownik|pacjent)\s"
)
_FULL_WHO = re.compile(
    rf"\b(?:{_TITLE}(?:{_NAME}\s)?{_NAME}|(?i:{_ROLE}){_NAME}(?:\s{_NAME})?|{_FULL_NAME})|{_CYRILLIC}\s{_CYRILLIC}"
)
# A first name counts only as the subject of the statement: with its verb right behind it.
_SUBJECT = re.compile(
    rf"(?<![\w'\u2019.-])(?P<name>{_NAME}|{_CYRILLIC})(?:'s)?\s(?:was|is|has|had|will|got|suffers|wurde|wird|ist|hat|leidet|a|est|souffre|ha|e|fue|sera|padece|sufre|soffre|foi|tem|werd|wordt|heeft|lijdt"
    r"|zostal|zostala|jest|ma|cierpi|har|er|ar|blev|ble|on|\u0431\u044b\u043b\u0430?)\s[^.!?\n]{0,40}$"
)
_SURNAMES = "\u738b\u674e\u5f20\u5218\u9648\u6768\u8d75\u9ec4\u5468\u5434\u5f90\u5b59\u80e1\u6731\u9ad8\u6797\u4f55\u90ed\u9a6c\u7f57\u6881\u5b8b\u90d1\u8c22\u97e9\u5510\u51af\u4e8e\u8463\u8427\u7a0b\u66f9\u8881\u9093\u8bb8\u5085\u6c88\u66fe\u5f6d\u5415\u82cf\u5362\u848b\u8521\u8d3e\u4e01\u9b4f\u859b\u53f6\u960e\u4f59\u6f58\u675c\u6234\u590f\u949f\u6c6a\u7530\u4efb\u59dc\u8303\u65b9\u77f3\u59da\u8c2d\u5ed6\u90b9\u718a\u91d1\u9646\u90dd\u5b54\u767d\u5d14\u5eb7\u6bdb\u90b1\u79e6\u6c5f\u53f2\u987e\u4faf\u90b5\u5b5f\u9f99\u4e07\u6bb5\u96f7\u94b1\u6c64\u5c39\u9ece\u6613\u5e38\u6b66\u4e54\u8d3a\u8d56\u9f9a\u6587\u5f35\u5289\u9673\u694a\u8d99\u9ec3\u5433\u5b6b\u99ac\u7f85\u9b0d\u8b1d\u97d3"
_CHINESE_WHO = re.compile(
    rf"[{_SURNAMES}](?:[\u4e00-\u9fff]{{1,2}})?(?:\u5148\u751f|\u5973\u58eb|\u5c0f\u59d0|\u7ecf\u7406|\u540c\u4e8b|\u5458\u5de5|\u4e3b\u4efb)?|[\u4e00-\u9fff]{{1,4}}(?:\u3055\u3093|\u6c0f|\u69d8)"
)
_NOT_NAMES = frozenset(
    "the a an he she it they we you i this that these those who what when where why how everyone someone nobody anyone people patients employees workers women men children in on at after before"
    " my our his her their your if but and or so as supreme united new high federal district north south east west great world city state court company inc corp university january february march april"
    " may june july august september october november december monday tuesday wednesday thursday friday saturday sunday der die das ein eine er sie es wir le la les un une il elle el los las lo gli".split()
)


class _What:
    """What is said: phrases, and whether an amount must stand beside them and a first name alone will do."""

    def __init__(self, kind: Kind, *lines: str, amount: bool = False, first_name: bool = True) -> None:
        self.kind = kind
        self.words = Vocabulary(*lines)
        self.amount = amount
        self.first_name = first_name


_STATEMENTS = (
    _What(
        Kind.HEALTH_STATEMENT,
        "diagnosed with, diagnosed as, been diagnosed, diagnosis, suffers from, suffering from, suffered a, hiv, hiv-positive, tested positive for, sick leave, medical leave, is pregnant, pregnancy",
        "cancer, chemotherapy, leukemia, tumor, tumour, diabetes, diabetic, epilepsy, schizophrenia, bipolar, depression, anxiety disorder, ptsd, burnout, alcoholic, alcoholism, addiction, rehab",
        "hospitalized, hospitalised, miscarriage, abortion, suicide attempt, overdose, hepatitis, dementia, alzheimer's, parkinson's, multiple sclerosis, stroke, heart attack, psychiatric, medication for",
        "prescribed, disability leave, mental health, treated for, blood test, biopsy, diagnose, diagnostiziert, leidet an, leidet unter, erkrankt, krebs, krankgeschrieben, schwanger, depressionen",
        "chemotherapie, alkoholiker, arbeitsunfähig, psychisch, diabetes hat, atteint de, atteinte de, souffre de, diagnostiqué, diagnostiquée, cancer du, arrêt maladie, enceinte, dépression, séropositif",
        "padece, sufre de, diagnosticado, diagnosticada, cáncer, baja médica, baja por enfermedad, embarazada, depresión, vih, diagnosi di, soffre di, affetto da, affetta da, diagnosticato, tumore, cancro",
        "in malattia, incinta, depressione, sofre de, câncer, grávida, baixa médica, diagnosticada com, lijdt aan, gediagnosticeerd, kanker, ziekteverlof, ziekgemeld, zwanger, depressie, choruje na, cierpi na",
        "zdiagnozowano, rak, nowotwór, zwolnienie lekarskie, w ciąży, lider av, diagnos, sjukskriven, gravid, kræft, sygemeldt, lider af, kreft, sykmeldt, sairastaa, syöpä, sairauslomalla, raskaana",
        "диагноз, болен, больна, болеет, рак, беременна, больничном, депрессия, вич",
        "诊断, 确诊, 患有, 癌, 糖尿病, 抑郁症, 病假, 怀孕, 艾滋病, 住院, 化疗, 乙肝, 流产, 肿瘤, うつ病, 妊娠, 診断",
    ),
    _What(
        Kind.PAY_STATEMENT,
        "salary, salaries, base pay, annual pay, pay raise, pay rise, pay cut, bonus, compensation, compensation package, paycheck, wage, wages, earns, is paid, gets paid, total comp, payroll, stock options",
        "gehalt, jahresgehalt, monatsgehalt, bruttogehalt, gehaltserhöhung, verdient, lohn, prämie, salaire, rémunération, gagne, prime de, salario, sueldo, nómina, gana, cobra, aumento de sueldo, stipendio",
        "retribuzione, guadagna, ral, salário, vencimento, ordenado, ganha, salaris, loon, verdient per, pensja, wynagrodzenie, zarabia, lön, tjänar, løn, lønn, tjener, palkka, ansaitsee, plat, mzda, fizetés",
        "зарплата, оклад, зарабатывает, премия, 工资, 薪水, 年薪, 月薪, 奖金, 薪资, 薪酬, 給料, 年収, 月給, 연봉",
        amount=True,
        first_name=False,
    ),
    _What(
        Kind.DISMISSAL_STATEMENT,
        "dismissed, be fired, was fired, got fired, is fired, being fired, been fired, fire, fired for, let go, laid off, lay off, terminated, termination, terminate, severance, made redundant, redundancy",
        "performance improvement plan, pip, dismissal, disciplinary, written warning, suspended without pay, forced to resign, asked to resign, non-renewal, gekündigt, kündigung, kündigen, entlassen, entlassung",
        "fristlos, abmahnung, abgemahnt, aufhebungsvertrag, freigestellt, licencié, licenciée, licencier, licenciement, renvoyé, renvoyée, rupture conventionnelle, despedido, despedida, despedir, despido, cesado",
        "licenziato, licenziata, licenziare, licenziamento, demitido, demitida, demitir, demissão, despedimento, ontslagen, ontslaan, ontslag, zwolniony, zwolniona, zwolnić, zwolnienie z pracy, wypowiedzenie",
        "avskedad, uppsagd, avskedas, sägas upp, fyret, afskediget, opsagt, oppsagt, avskjediget, irtisanottu, irtisanotaan, propuštěn, výpověď, elbocsátották, уволен, уволена, уволить, увольнение, сокращен",
        "解雇, 辞退, 裁员, 裁掉, 开除, 劝退, 被炒, 離職, クビ",
    ),
    _What(
        Kind.LEGAL_STATEMENT,
        "lawsuit, sued, suing, is being sued, filed a complaint, filed a claim, arrested, charged with, indicted, convicted of, convicted for, accused of, allegation, allegations, under investigation",
        "investigated for, pleaded guilty, plead guilty, settlement with, settle with, restraining order, criminal record, harassment complaint, complaint against, claim against, divorce, custody battle",
        "custody of, deposition, court hearing, subpoena, subpoenaed, litigation, prosecuted, bankruptcy, on trial, verklagt, klage gegen, klagt gegen, angeklagt, verurteilt, strafverfahren, ermittlungsverfahren",
        "ermittelt gegen, verhaftet, strafanzeige, anzeige gegen, vorbestraft, scheidung, insolvenz, poursuivi, poursuivie, procès contre, mis en examen, mise en examen, condamné, condamnée, plainte contre",
        "arrêté pour, divorce, casier judiciaire, demandado, demandada, demanda contra, acusado, acusada, condenado, condenada, detenido, imputado, imputada, denuncia contra, querella, citato in giudizio",
        "denunciato, denunciata, condannato, condannata, indagato, indagata, causa contro, querela, imputato, processado, processada, réu, acusado de, queixa contra, aangeklaagd, rechtszaak, veroordeeld, aangifte",
        "gearresteerd, pozwany, pozew, oskarżony, oskarżona, skazany, skazana, aresztowany, åtalad, stämd, dömd, misstänkt, tiltalt, sigtet, siktet, dømt, anmeldt, syytetty, tuomittu, obžalován, odsouzen",
        "обвиняется, обвинен, осужден, осуждена, арестован, арестована, иск против, судится, под следствием, 起诉, 被告, 逮捕, 判刑, 诉讼, 刑拘, 拘留, 离婚, 官司, 立案, 被捕, 訴訟, 告訴",
    ),
)
_AMOUNT = re.compile(
    r"[$€£¥]\s?\d|\d[\d.,' ]*\s?(?:k\b|usd|eur|euros?|dollars?|pounds?|gbp|chf|francs?|zl|pln|kr\b|sek|dkk|nok|%|€|\$|£|¥|\u5143|\u4e07|\u5186|\u0440\u0443\u0431|per (?:year|month|hour)|a (?:year|month))|\d{2,3}[.,\u2019']?\d{3}"
)
_SENTENCE_END = re.compile(r"(?<![A-Z][a-z])(?<!\b[A-Z])[.!?]\s|[\n\u3002\uff01\uff1f]")
_QUESTION = re.compile(
    r"\s*(?:who|whom|whose|what|when|where|which|why|how|did|does|was|were|is|in what|in which)\b", re.IGNORECASE
)
_BEFORE, _AFTER = 90, 70


def find_statements(view: View) -> Iterator[Span]:
    """A statement is found where its words and a person's name stand in one sentence; questions of general knowledge are none."""
    for what in _STATEMENTS:
        for start, end in what.words.places(view):
            if _is_said_of_someone(view.text, start, end, what):
                yield Span(what.kind, start, end)


def _is_said_of_someone(text: str, start: int, end: int, what: _What) -> bool:
    before, after = _sentence_around(text, start, end)
    if what.amount and not (_AMOUNT.search(before.lower()) or _AMOUNT.search(after.lower())):
        return False
    if _QUESTION.match(before) and "?" in after:
        return False
    if _is_chinese(text[start]):
        return _CHINESE_WHO.search(before[-14:] + "\n" + after[:8]) is not None
    if any(_is_person(match.group()) for match in (*_FULL_WHO.finditer(before), *_FULL_WHO.finditer(after))):
        return True
    subject = _SUBJECT.search(before) if what.first_name else None
    return subject is not None and subject.group("name").lower() not in _NOT_NAMES


def _sentence_around(text: str, start: int, end: int) -> tuple[str, str]:
    before, after = text[max(0, start - _BEFORE) : start], text[end : end + _AFTER]
    ends = [match.end() for match in _SENTENCE_END.finditer(before)]
    stop = _SENTENCE_END.search(after)
    return before[ends[-1] :] if ends else before, after[: stop.end()] if stop else after


def _is_chinese(character: str) -> bool:
    return "\u3040" <= character <= "\u9fff"


def _is_person(name: str) -> bool:
    return not any(word.strip(".").lower() in _NOT_NAMES for word in name.split())
