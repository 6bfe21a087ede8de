"""Markings of confidentiality, and names of what is inside an organisation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from app.services.detectors.kinds import Kind, Span
from app.services.detectors.normalise import View
from app.services.detectors.vocabulary import Vocabulary, any_may_occur, words

_CONFIDENTIAL = Vocabulary(
    # English
    "strictly private, privileged and confidential, privileged & confidential, attorney work product",
    "attorney-work-product, attorney-client privileged, attorney client privileged",
    "attorney-client communication, attorney-client confidential, protected by attorney-client",
    "subject to attorney-client, covered by attorney-client, under attorney-client",
    "solicitor-client privileged, secret defense, very confidential",
    "legally privileged, under nda, under an nda, nda protected, nda-protected, subject to nda",
    "subject to an nda, covered by nda",
    "covered by an nda, covered by our nda, covered by the nda, subject to the nda, subject to our nda",
    "under our nda, under the nda, nda applies, per the nda, per our nda, non-disclosure agreement with",
    "under embargo, embargoed until, embargoed, draft earnings, unreleased earnings, unpublished earnings",
    "unannounced earnings, pre-announcement earnings, preliminary earnings, earnings draft",
    "material non-public, material nonpublic, mnpi, insider information, inside information",
    "not for distribution, do not distribute, do not forward, do not share, do not disclose",
    "do not circulate, not for public release, not for release, not for publication",
    "tlp:red, tlp: red, tlp:amber, tlp: amber, vs-nfd, vs - nfd, vs-vertraulich",
    "eyes only, need to know basis, need-to-know, top secret",
    "our trade secret, our trade secrets, company secret, restricted distribution, board only",
    "commercial in confidence, commercial-in-confidence, in strict confidence, in strictest confidence",
    "sensitive but unclassified, keep this between us, not yet public, not yet announced",
    "not publicly announced, not public yet, embargo until, signed an nda with, pre-decisional",
    # German
    "vertraulich, streng vertraulich, vertrauliche, vertraulicher, vertrauliches, geheim, streng geheim",
    "verschlusssache, geschäftsgeheimnis, betriebsgeheimnis, geheimhaltungsvereinbarung mit",
    "anwaltsgeheimnis, anwaltskorrespondenz, nicht weitergeben, nicht zur weitergabe",
    "nicht teilen, nicht weiterleiten, nicht für dritte bestimmt, nicht zur veröffentlichung",
    "sperrfrist, insiderinformation",
    # French
    "confidentiel, confidentielle, confidentiels, confidentielles, strictement confidentiel",
    "secret professionnel, secret des affaires, ne pas diffuser, ne pas divulguer",
    "à ne pas partager, ne pas partager, ne pas transmettre, diffusion restreinte",
    "accord de confidentialité avec, sous embargo",
    "information privilégiée, très secret",
    # Spanish, Portuguese
    "confidencial, confidenciales, estrictamente confidencial, secreto profesional, secreto comercial",
    "no divulgar, no difundir, no distribuir, no compartir, não compartilhar, não partilhar",
    "información privilegiada, alto secreto",
    "confidenciais, estritamente confidencial, sigiloso, sigilosa, não divulgar, não distribuir",
    "segredo comercial, sigilo profissional, informação privilegiada",
    # Italian
    "confidenziale, strettamente confidenziale, riservatissimo, strettamente riservato",
    "riservato e confidenziale, documento riservato, informazioni riservate, segreto professionale",
    "segreto industriale, non condividere, non divulgare, non diffondere, informazione privilegiata, top-secret",
    # Dutch
    "vertrouwelijk, strikt vertrouwelijk, vertrouwelijke, bedrijfsgeheim, niet verspreiden",
    "niet voor externe verspreiding, niet delen",
    "beroepsgeheim, geheimhouding geldt",
    # Polish, Czech, Slovak, Hungarian, Romanian
    "poufne, ściśle poufne, poufny, poufna, tajemnica przedsiębiorstwa, tajemnica adwokacka",
    "nie udostępniać, nie rozpowszechniać, ściśle tajne, důvěrné, přísně důvěrné, důvěrný, tajné, obchodní tajemství",
    "dôverné, bizalmas, szigorúan bizalmas, üzleti titok, titkos, a nu se distribui",
    # Nordic
    "konfidentiell, konfidentiellt, sekretess, strängt konfidentiellt, fortrolig, fortroligt",
    "strengt fortrolig, strengt fortroligt, konfidensielt, taushetsbelagt, luottamuksellinen",
    "luottamuksellista, ehdottoman luottamuksellinen, liikesalaisuus, företagshemlighet",
    "forretningshemmelighed, salassa pidettävä",
    # Greek, Russian, Ukrainian, Bulgarian, Turkish
    "εμπιστευτικό, άκρως εμπιστευτικό, απόρρητο, конфиденциально, строго конфиденциально",
    "конфиденциальный, конфиденциальная, конфиденциальный документ, коммерческая тайна",
    "секретно, совершенно секретно, не для распространения, адвокатская тайна, конфіденційно",
    "цілком таємно, поверително, gizlidir, çok gizli, ticari sır, kurum içi gizli",
    # Chinese, Japanese, Korean
    "机密, 绝密, 严格保密, 请保密, 保密文件, 保密协议, 商业秘密, 商业机密, 秘密文件, 不得外传, 严禁外传",
    "请勿外传, 请勿转发, 不得泄露, 律师客户特权, 未公开财报, 内幕信息, 機密, 極秘, 商業機密",
    "社外秘, 部外秘, 機密情報, 対外秘, 取扱注意, マル秘, 대외비, 기밀, 극비, 사외비",
)
_INTERNAL = Vocabulary(
    "internal only, internal-only, internal use only, for internal use, company internal",
    "tlp:green, tlp: green",
    "internal document, internal memo, internal draft, not for external, employees only",
    "staff only, team only, company only, internal distribution, internal eyes",
    "nur für den internen gebrauch, nur intern, nur zur internen verwendung, interner gebrauch",
    "nur für internen gebrauch",
    "nur für mitarbeiter, nicht für externe, wyłącznie do użytku wewnętrznego, réservé au personnel",
    "solo para empleados, solo per dipendenti, alleen voor medewerkers, tylko dla pracowników",
    "nur für den dienstgebrauch, firmenintern, betriebsintern, à usage interne, usage interne",
    "usage interne uniquement, document interne, diffusion interne, uso interno, solo uso interno",
    "solo para uso interno, documento interno, de uso interno, per uso interno, ad uso interno",
    "uso esclusivamente interno, apenas uso interno, somente uso interno, alleen intern",
    "alleen voor intern gebruik, voor intern gebruik, intern gebruik, do użytku wewnętrznego",
    "tylko do użytku wewnętrznego, pouze pro interní, interní použití, belső használatra",
    "uz intern, endast internt, för internt bruk, internt bruk, kun til intern brug, kun internt",
    "til intern brug, kun for intern bruk, vain sisäiseen käyttöön, sisäiseen käyttöön",
    "για εσωτερική χρήση, для внутреннего пользования, только для внутреннего, для служебного пользования",
    "для внутрішнього користування, şirket içi, kurum içi, dahili kullanım",
    "仅供内部, 仅限内部, 内部使用, 内部资料, 内部文件, 内部参考, 对内使用, 内部公开, 社内限定, 社内限り",
    "社内用, 社内資料",
)
# Words that mark a text in a heading, a statement or a label, and only name a subject elsewhere.
_AMBIGUOUS = Vocabulary("confidential")
_STATED_BEFORE = re.compile(
    r"(?:^|\n)[^\w\n]*$|(?:strictly|highly|very|extremely|company|commercially|private and|privileged and"
    r"|proprietary and|&|/|\bis|\bare|\bbe|\bstays?|remains?|\bkeep|\bkept|this|these|marked|considered"
    r"|treat|treated|\bas|\bour|\bmy|\bthe|attached|their|following|contains?|classification:?|label:?"
    r"|by)\s+(?:(?:it|this|that|them|strictly|highly|as|all|following|attached)\s+)?[\"'\u201c(\[]?$"
)
_STATED_AFTER = re.compile(
    r"\s*(?:$|[:|!\])\u2013\u2014\n]|-\s|\.\s*$)|\s(?:information|documents?|memo|memorandum|report|draft"
    r"|material|data|and (?:proprietary|privileged|internal|private)|& |do not|until|business|client"
    r"|company|privileged"
    r"|work product)\b"
)
# Words that mark a text only as a heading of their own, or as the value of its classification.
_MARK_WORDS = (
    "RESTRICTED", "INTERN", "SECRET", "SENSITIVE", "PROPRIETARY", "PRIVATE", "ATTORNEY", "EMBARGO", "NDA", "RISERVAT",
    "GEHEIM", "GIZLI", "TAJNE", "CLASSIFIED", "SEGRETO", "RESERVADO", "HEMLIG", "HEMMELIG", "SALAINEN",
)  # fmt: skip
_MARK = re.compile(
    r"^[^\w\n]{0,8}(?P<level>RESTRICTED|INTERNAL|INTERN|SECRET|TOP SECRET|SENSITIVE|PROPRIETARY|PRIVATE"
    r"|ATTORNEY[- ]CLIENT PRIVILEGE|EMBARGO|NDA|RISERVATO|RISERVATA|GEHEIM|GIZLI|TAJNE|SECRET DEFENSE"
    r"|CLASSIFIED|SEGRETO|SECRETO|RESERVADO|HEMLIG|HEMMELIG|SALAINEN)"
    r"(?=[^\w\n]{0,8}$|\s?[-:|/\u2013\u2014]\s)",
    re.MULTILINE,
)
_CLASSIFICATION = re.compile(
    r"(?:classification|sensitivity|data class|protection level|klassifizierung|vertraulichkeit(?:sstufe)?"
    r"|schutzklasse|classificazione|clasificacion|niveau de confidentialite|密级"
    r"|保密级别)"
    r"\s?[:=\uff1a]\s?(?P<level>restricted|secret|confidential|sensitive|private|internal|intern|interne"
    r"|interno|vertraulich|geheim|秘密|机密|绝密|内部)\b"
)
_HEADING_WORDS = words(
    "internal intern restricted secret sensitive attorney proprietary private embargo nda riservato riservata geheim "
    "gizli tajne classified segreto secreto reservado hemlig hemmelig salainen classification sensitivity class level "
    "klassifizierung vertraulichkeit vertraulichkeitsstufe schutzklasse classificazione clasificacion "
    "confidentialite"
)
_INTERNAL_LEVELS = frozenset({"internal", "intern", "interne", "interno", "内部"})
# A word about confidentiality in general, or its denial, is no marking of this text.
_DENIED_BEFORE = re.compile(
    r"(?:\bnot|\bnon|\bno longer|\bisn't|\baren't|\bnicht|\bpas|\bno es|\bnon e|\bniet|\bnie|\bnao"
    r"|不是|非|what (?:does|is|are|do)|define|meaning of|word|term|difference between"
    r"|definition of)"
    r"[\s\"'\u201c-]{0,3}(?:(?:strictly|an?|the|considered|really|word|term|so|as|any)[\s\"'\u201c-]{0,3}){0,2}$"
)
_DISCUSSED_AFTER = re.compile(r"[\"'\u201d]? (?:means?|refers to|is defined|bedeutet|veut dire|significa|computing)\b")

_PROJECT = re.compile(
    r"\b(?:our|internal|secret|unannounced|unreleased|codenamed|code-named|unser|unserem|internes|notre"
    r"|nuestro|nostro|nosso|ons|nasz)\s(?:internal\s|secret\s|new\s)?(?:Project|Projekt|Projet|Proyecto"
    r"|Progetto|Projeto|Operation|Initiative)\s"
    r"[A-Z][\w-]{2,30}|\b(?:[Cc]ode[- ]?named?|[Cc]odename|[Dd]eckname|[Nn]om de code|[Nn]ombre en clave"
    r"|[Nn]ome in codice)[: ]{1,3}[\"'\u201c\u201e]?[A-Z][\w-]{2,30}"
    r"|\bProject\s[A-Z][\w-]{2,30}(?=\s(?:launch|kick-?off|budget|roadmap|deadline|milestone|status"
    r"|steering))"
)
_PROJECT_HINTS = words(
    "project projekt projet proyecto progetto projeto operation initiative code codename codenamed deckname nom "
    "nombre nome named"
)
_TICKET = re.compile(
    r"\b(?:ticket|jira|issue|bug|story|epic|case|incident|vorgang|tâche|tarea)s?(?: (?:no|nr|number|id"
    r"|key)\.?)?[ :#(]{1,3}[A-Z][A-Z0-9]{1,9}-\d{1,6}\b|\b(?:INC|CHG|RITM|SCTASK|PRB)\d{7,10}\b"
)
_TICKET_ID = re.compile(r"[A-Z](?:[A-Z0-9]{1,9}-\d|[A-Z]{2,5}\d{7})")
_TICKET_HINTS = words(
    "ticket tickets jira issue issues bug story epic case incident inc chg ritm prb sctask vorgang tarea"
)


_KEYWORDS = _CONFIDENTIAL.keywords | _INTERNAL.keywords | _AMBIGUOUS.keywords | _HEADING_WORDS


def find_markings(view: View) -> Iterator[Span]:
    """Phrases and headings that mark a text as confidential or internal, unless the text only talks about the word."""
    if not any_may_occur(view, _KEYWORDS):
        return
    for kind, vocabulary in ((Kind.CONFIDENTIAL_MARKING, _CONFIDENTIAL), (Kind.INTERNAL_MARKING, _INTERNAL)):
        for start, end in vocabulary.places(view):
            if not _is_discussed(view.lower, start, end):
                yield Span(kind, start, end)
    for start, end in _AMBIGUOUS.places(view):
        if _is_stated(view, start, end) and not _is_discussed(view.lower, start, end):
            yield Span(Kind.CONFIDENTIAL_MARKING, start, end)
    if view.is_unspaced or not _HEADING_WORDS.isdisjoint(view.words):
        yield from _headings(view)


def _headings(view: View) -> Iterator[Span]:
    marks = _MARK.finditer(view.text) if any(word in view.text for word in _MARK_WORDS) else ()
    for match in chain(marks, _CLASSIFICATION.finditer(view.lower)):
        is_internal = match.group("level").lower() in _INTERNAL_LEVELS
        yield Span(Kind.INTERNAL_MARKING if is_internal else Kind.CONFIDENTIAL_MARKING, *match.span("level"))


def _is_discussed(text: str, start: int, end: int) -> bool:
    return (
        _DENIED_BEFORE.search(text[max(0, start - 40) : start]) is not None
        or _DISCUSSED_AFTER.match(text, end, end + 24) is not None
    )


def _is_stated(view: View, start: int, end: int) -> bool:
    """Whether the word is written large, begins its line, or is said of this very text."""
    return (
        view.text[start].isupper()
        or _STATED_BEFORE.search(view.lower[max(0, start - 40) : start]) is not None
        or _STATED_AFTER.match(view.lower[end : end + 24]) is not None
    )


def find_internal_names(view: View) -> Iterator[Span]:
    """Projects and tickets that are called ours or come with their tracker's word; own dictionaries know more."""
    if not view.words.isdisjoint(_PROJECT_HINTS):
        for match in _PROJECT.finditer(view.text):
            yield Span(Kind.INTERNAL_NAME, match.start(), match.end())
    if not view.words.isdisjoint(_TICKET_HINTS) and _TICKET_ID.search(view.text):
        for match in _TICKET.finditer(view.text):
            yield Span(Kind.INTERNAL_NAME, match.start(), match.end())
