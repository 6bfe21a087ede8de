"""Statements on a named person's health, pay, dismissal or legal case: who, and what is said."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from app.services.detectors.kinds import Kind, Span
from app.services.detectors.normalise import View
from app.services.detectors.people import People
from app.services.detectors.vocabulary import Vocabulary, any_may_occur


@dataclass(frozen=True, slots=True)
class _What:
    """What is said. A predicate needs a person as its subject; a topic needs more certainty that it is one.

    `amount` says that a sum of money must stand beside it.
    """

    kind: Kind
    predicates: Vocabulary
    topics: Vocabulary
    amount: bool = False


_STATEMENTS = (
    _What(
        Kind.HEALTH_STATEMENT,
        predicates=Vocabulary(
            "diagnosed with, diagnosed as, been diagnosed, was diagnosed, suffers from, is suffering from",
            "suffered a, is hiv positive, is hiv-positive, tested positive for, has tested positive",
            "is pregnant, was hospitalized, was hospitalised, had a miscarriage, had an abortion",
            "attempted suicide, overdosed, is on sick leave, on sick leave, on medical leave",
            "on disability leave",
            "has cancer, has diabetes, has depression, has epilepsy, has hiv, has aids, has leukemia",
            "has dementia, has been prescribed, was prescribed, is being treated for, was treated for",
            "treated for",
            "had a heart attack, had a stroke, is an alcoholic, is in rehab, has bipolar",
            "has schizophrenia, had a breakdown, is taking antidepressants, called in sick, is undergoing",
            "underwent",
            "leidet an, leidet unter, erkrankt, ist krankgeschrieben, krankgeschrieben, ist schwanger",
            "hat krebs, hat depressionen, hat diabetes, diagnostiziert, wurde diagnostiziert",
            "ist arbeitsunfähig, ist alkoholiker",
            "souffre de, souffre d'un, souffre d'une, atteint de, atteinte de, atteint d'un",
            "atteinte d'un, a un cancer, est enceinte, en arrêt maladie, diagnostiqué, diagnostiquée",
            "est séropositif, est séropositive",
            "padece, sufre de, sufre una, sufre un, diagnosticado, diagnosticada, diagnosticaron",
            "tiene cáncer, tiene diabetes, está embarazada, de baja médica, baja por enfermedad",
            "está de baja",
            "soffre di, affetto da, affetta da, diagnosticato, diagnosticata, ha un tumore, ha il cancro",
            "ha il diabete, è incinta, in malattia, sofre de, tem câncer, tem cancro, tem diabetes",
            "está grávida, de baixa médica",
            "lijdt aan, gediagnosticeerd, heeft kanker, heeft diabetes, is zwanger, met ziekteverlof",
            "ziekgemeld, choruje na, cierpi na, ma raka, ma cukrzycę, zdiagnozowano, jest w ciąży",
            "na zwolnieniu lekarskim",
            "lider av, har cancer, har diabetes, sjukskriven, är gravid, lider af, har kræft, sygemeldt",
            "har kreft, sykmeldt, sairastaa, sairauslomalla, on raskaana, trpí, má rakovinu",
            "болен, больна, болеет, страдает, поставили диагноз, диагностировали, беременна",
            "на больничном, у него рак, у неё рак",
            "被诊断, 确诊, 患有, 患了, 得了癌, 请病假, 休病假, 怀孕, 在化疗, 住院治疗, 感染艾滋, と診断, 妊娠して",
            "を患って",
        ),
        topics=Vocabulary(
            "diagnosis, hiv, sick leave, medical leave, chemotherapy, cancer, leukemia, tumor, tumour",
            "diabetes, epilepsy, schizophrenia, bipolar disorder, depression, anxiety disorder, ptsd",
            "burnout, alcoholism",
            "hepatitis, dementia, alzheimer's, parkinson's, multiple sclerosis, biopsy, blood test",
            "miscarriage, addiction, medical condition, mental health, health condition, psychiatric",
            "medication, maternity leave",
            "diagnose, krebs, chemotherapie, depressionen, krankheit, cancer du, dépression, maladie",
            "arrêt maladie, cáncer, depresión, enfermedad, embarazo, cancro, tumore, depressione",
            "malattia, câncer, depressão, doença",
            "kanker, depressie, ziekte, rak, nowotwór, depresja, choroba, kræft, kreft, depression, syöpä",
            "rakovina, диагноз, рак, депрессия, болезнь, 诊断, 癌, 肿瘤, 糖尿病, 抑郁症, 病假, 艾滋病, 乙肝, 化疗",
            "流产, うつ病, がん",
        ),
    ),
    _What(
        Kind.PAY_STATEMENT,
        predicates=Vocabulary(
            "earns, is paid, is being paid, gets paid, makes, was offered, verdient, bekommt, gagne",
            "touche, gana, cobra, guadagna, percepisce, ganha, recebe, zarabia, tjänar, tjener, ansaitsee",
            "зарабатывает, получает",
        ),
        topics=Vocabulary(
            "salary, salaries, base pay, annual pay, pay raise, pay rise, pay cut, bonus",
            "compensation package, compensation, paycheck, wage, total comp, payroll, stock options",
            "severance package, pay slip, payslip",
            "gehalt, jahresgehalt, monatsgehalt, bruttogehalt, gehaltserhöhung, lohn, prämie, vergütung",
            "salaire, rémunération, prime, augmentation, salario, sueldo, nómina, retribuzione, stipendio",
            "ral, aumento",
            "salário, vencimento, ordenado, remuneração, salaris, loon, pensja, pensji, wynagrodzenie",
            "lön, lønn, løn, palkka, plat, mzda, fizetés, зарплата, оклад, премия, 工资, 薪水, 年薪, 月薪, 奖金, 薪资",
            "薪酬, 給料, 年収, 月給, 연봉",
        ),
        amount=True,
    ),
    _What(
        Kind.DISMISSAL_STATEMENT,
        predicates=Vocabulary(
            "be fired, was fired, got fired, is fired, being fired, been fired, fired for, dismissed for",
            "dismissed from, be dismissed, was dismissed, been dismissed, let go, laid off, be terminated",
            "was terminated",
            "is terminated, been terminated, terminated for, made redundant, forced to resign",
            "asked to resign, suspended without pay, was suspended, placed on leave",
            "on a performance improvement plan, on a pip",
            "gekündigt, entlassen, wird gekündigt, abgemahnt, freigestellt, licencié, licenciée, renvoyé",
            "renvoyée, despedido, despedida, cesado, licenziato, licenziata, demitido, demitida",
            "ontslagen, op staande voet",
            "zwolniony, zwolniona, dostał wypowiedzenie, avskedad, avskedas, uppsagd, sägs upp, fyret",
            "afskediget, opsagt, oppsagt, avskjediget, irtisanottu, irtisanotaan, propuštěn, propuštěna",
            "elbocsátották",
            "уволен, уволена, уволили, уволят, сокращен, сокращена, 被解雇, 被辞退, 被裁, 被开除, 被炒, 解雇",
            "辞退, 开除, 劝退, を解雇, クビ",
        ),
        topics=Vocabulary(
            "termination, dismissal, severance, redundancy, disciplinary, written warning",
            "performance improvement plan, pip, terminate, fire, lay off, dismiss, kündigung, kündigen",
            "entlassung, abmahnung, aufhebungsvertrag",
            "licenciement, licencier, rupture conventionnelle, despido, despedir, licenziamento",
            "licenziare, demissão, demitir, despedimento, ontslag, ontslaan, zwolnienie, zwolnić",
            "wypowiedzenie, avsked, oppsigelse, opsigelse",
            "irtisanominen, výpověď, увольнение, уволить, 裁员, 裁掉, 離職勧奨",
        ),
    ),
    _What(
        Kind.LEGAL_STATEMENT,
        predicates=Vocabulary(
            "is suing, sued, is being sued, was sued, filed a lawsuit, filed a complaint, filed a claim",
            "filed suit, was arrested, been arrested, charged with, indicted, convicted of, convicted for",
            "accused of, been accused",
            "under investigation, being investigated, is investigated, pleaded guilty, pled guilty",
            "on trial, prosecuted for, subpoenaed, is getting divorced, filed for divorce",
            "filed for bankruptcy, was sentenced",
            "verklagt, klagt gegen, angeklagt, verurteilt, verhaftet, wird ermittelt, vorbestraft",
            "poursuivi, poursuivie, mis en examen, mise en examen, condamné, condamnée, arrêté pour",
            "arrêtée pour, accusé de, accusée de",
            "demandado, demandada, acusado, acusada, condenado, condenada, detenido, detenida, imputado",
            "imputada, citato in giudizio, denunciato, denunciata, condannato, condannata, indagato",
            "indagata, arrestato, arrestata",
            "processado, processada, arguido, arguida, aangeklaagd, veroordeeld, gearresteerd, oskarżony",
            "oskarżona, skazany, skazana, aresztowany, aresztowana, pozwany, pozwana, åtalad, stämd, dömd",
            "misstänkt, tiltalt, sigtet",
            "siktet, dømt, syytetty, tuomittu, obžalován, odsouzen, обвиняется, обвинен, обвинена",
            "осужден, осуждена, арестован, арестована, судится, под следствием, 被起诉, 被逮捕, 被判, 被捕, 被拘留",
            "被立案, 涉嫌, 起诉, 逮捕, 逮捕された, 起訴",
        ),
        topics=Vocabulary(
            "lawsuit, settlement with, restraining order, criminal record, harassment complaint",
            "complaint against, claim against, case against, allegation against, allegations against",
            "custody battle, court hearing, divorce",
            "klage gegen, strafverfahren, ermittlungsverfahren, strafanzeige, anzeige gegen, scheidung",
            "procès contre, plainte contre, casier judiciaire, demanda contra, denuncia contra",
            "juicio contra, causa contro, querela contro",
            "processo contro, queixa contra, processo contra, rechtszaak tegen, aangifte tegen",
            "pozew przeciwko, sprawa przeciwko, иск против, дело против, 诉讼, 官司, 离婚, 案件, 訴訟",
        ),
    ),
)
_KEYWORDS = frozenset().union(*(words.keywords for what in _STATEMENTS for words in (what.predicates, what.topics)))
_AMOUNT = re.compile(
    r"[$€£¥\d](?:(?<!\d)\s?\d|(?<=\d)[\d.,']{0,12}\s?(?:k\b|usd|eur|dollars?|pounds?|gbp|chf|francs?|zl|pln|kr\b|sek|dkk|nok"
    r"|%|€|\$|£|¥|元|万|円|руб|per (?:year|month|hour))"
    r"|(?<=\d)\d{1,2}[.,\u2019']?\d{3})"
)
# The sign first and what stands before it after: the engine then looks for the sign at full speed.
_SENTENCE_END = re.compile(
    r"[.!?](?<!\b[A-Z].)(?<!\b(?:Mr|Ms|Dr|Sr|Fr|Hr|Mw).)(?<!\b(?:Mrs|Sra|Sig|Dhr|Mme).)\s|[\n\u3002\uff01\uff1f]"
)
_GENERAL_QUESTION = re.compile(
    r"\s*(?:who|whom|whose|what|when|where|which|why|how|did|does|in what|in which)\b[^?]*\?", re.IGNORECASE
)
_WORD_PROBLEM = re.compile(r"how (?:much|many)\b")
# Companies are paid and sued like persons, so here one capitalised word must be a common given name.
_NEEDS_NAME = frozenset({Kind.PAY_STATEMENT, Kind.LEGAL_STATEMENT})
_BEFORE, _AFTER = 100, 80


def find_statements(view: View) -> Iterator[Span]:
    """A statement is found where its words and a person stand in one sentence; general questions are none."""
    if not any_may_occur(view, _KEYWORDS):
        return
    places = [
        (what, certain, start, end)
        for what in _STATEMENTS
        for certain, words in ((False, what.predicates), (True, what.topics))
        for start, end in words.places(view)
    ]
    if places:
        reading = _Reading(view)
        for what, certain, start, end in places:
            if reading.tells(what, start, end, certain=certain):
                yield Span(what.kind, start, end)


class _Reading:
    """Who is in a text and where its sentences end, found once for all that may be said in it."""

    def __init__(self, view: View) -> None:
        self._text = view.text
        self._people = People(view)
        self._ends = [match.end() for match in _SENTENCE_END.finditer(view.text)]
        self._amounts = [match.start() for match in _AMOUNT.finditer(view.lower)]
        self._is_word_problem = _WORD_PROBLEM.search(view.lower) is not None

    def tells(self, what: _What, start: int, end: int, *, certain: bool) -> bool:
        """Whether what stands at a place is said of a person. `certain` asks for more than a capitalised subject."""
        first, last = self._sentence(start, end)
        if what.amount and (self._is_word_problem or not _any_within(self._amounts, first, last)):
            return False
        if _GENERAL_QUESTION.match(self._text, first, last):
            return False
        if self._people.are_named(first, last, beside=(start, end)):
            return True
        return not certain and self._people.is_subject(start, first=first, known=what.kind in _NEEDS_NAME)

    def _sentence(self, start: int, end: int) -> tuple[int, int]:
        position = bisect_left(self._ends, start + 1)
        first = self._ends[position - 1] if position else 0
        last = self._ends[position] if position < len(self._ends) else len(self._text)
        return max(first, start - _BEFORE), min(max(last, end), end + _AFTER)


def _any_within(positions: list[int], first: int, last: int) -> bool:
    place = bisect_left(positions, first)
    return place < len(positions) and positions[place] < last
