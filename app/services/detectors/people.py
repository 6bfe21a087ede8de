"""Persons in a text: by title, by role, by a common given name, or as the subject of a sentence."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from itertools import groupby
from operator import itemgetter

from app.services.detectors.normalise import View
from app.services.detectors.vocabulary import words

_TITLES = words(
    "Mr Mrs Ms Miss Dr Prof Herr Herrn Frau Hr Fr M Mme Mlle Monsieur Madame Sr Sra Senor Senora Don Dona Sig Signor "
    "Signora Dott Mevrouw Dhr Mw Pan Pani Pana Fru Rouva Herra"
) | {"De heer"}
_ROLES = words(
    "employee patient colleague coworker co-worker client defendant manager mitarbeiter mitarbeiterin patientin "
    "kollegin kollege salarie salariee patiente collegue empleado empleada paciente dipendente paziente collega "
    "werknemer pracownik pacjent сотрудник пациент"
)
_TITLE_WORDS = frozenset(word.lower().removeprefix("de ") for word in _TITLES)
_ROLE_WORDS = frozenset(part for word in _ROLES for part in word.split("-"))
_NAME_REST = r"[a-z'\u2019-]{1,20}(?:[A-Z][a-z]{1,20})?"
_NAME = rf"[A-Z]{_NAME_REST}"
_CYRILLIC_CAPITAL, _CYRILLIC_REST = r"[\u0410-\u042fЁ]", r"[\u0430-\u044fё]{1,20}"
_CYRILLIC = _CYRILLIC_CAPITAL + _CYRILLIC_REST
# Behind a first letter, which the engine then looks for at full speed: nothing of a word stands before it.
_BEGINS = r"(?<![\w'\u2019.-].)"
_PARTICLE = r"(?:(?:van|von|de|del|della|di|da|der|den|la|le|al|bin|ter)\s){0,2}"
_BY_INITIAL = groupby(sorted(_TITLES), key=itemgetter(0))
_TITLE = "|".join(rf"(?<={initial})(?:{'|'.join(title[1:] for title in titles)})" for initial, titles in _BY_INITIAL)
_TITLED = re.compile(rf"[A-Z](?<![\w.-].)(?:{_TITLE})\.?\s(?P<name>{_NAME})")
_IN_ROLE = re.compile(rf"(?<![\w.-])(?i:{'|'.join(sorted(_ROLES))})\s(?P<name>{_NAME})")
_FULL = re.compile(
    rf"(?P<given>[A-Z]{_BEGINS}{_NAME_REST})\s(?:[A-Z]\.?\s)?{_PARTICLE}(?P<family>{_NAME})(?P<own>['\u2019]s)?"
)
_CYRILLIC_FULL = re.compile(rf"{_CYRILLIC}\s{_CYRILLIC}")
_VERBS = (
    r"(?:was|is|has|had|will|got|just|suffers|suffered|sued|underwent|tested|earns|wurde|wird|ist|hat"
    r"|leidet|a|est|souffre|sera|ha|e|fue|sera|padece|sufre|tiene|esta|soffre|foi|tem|sofre|werd"
    r"|wordt|heeft|lijdt|zostal|zostala|jest|ma|cierpi|choruje|har|er|ar|lider|blev|ble|on|sairastaa|byl"
    r"|byla|ma|была?|болен"
    r"|больна)"
)
_SUBJECT = re.compile(
    rf"(?P<name>[A-Z\u0410-\u042fЁ]{_BEGINS}(?:(?<=[A-Z]){_NAME_REST}(?:\s{_NAME})?"
    rf"|(?<={_CYRILLIC_CAPITAL}){_CYRILLIC_REST}(?:\s{_CYRILLIC})?))(?=\s{_VERBS}\s)"
)
_SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
    "張劉陳楊趙黃吳孫馬羅鬍謝韓"
)
# Common words that begin with a character that is a surname too.
_NOT_CHINESE_NAMES = (
    "高等|高级|高速|高中|高度|方法|方面|方式|金融|金额|金属|马上|马来|白色|常见|常用|常常|文化|文件|文章|石油|江西|江苏|史上|任何|武装|康复"
    "|曾经|于是|程序|温度|黄色|罗马|韩国|唐朝|宋朝|林业|何时|田野|易于|余下|万一|安全|陆军|孔子|孟子|顾客|钱包|段落|夏天|夏季|秦朝|毛利"
)
_CHINESE = re.compile(
    rf"(?<![\u4e00-\u9fff])(?!{_NOT_CHINESE_NAMES})[{_SURNAMES}][\u4e00-\u9fff]{{1,2}}"
    rf"|[\u4e00-\u9fff]{{1,3}}(?:先生|女士|小姐|经理|同事|主任"
    rf"|さん|氏|様)|(?:员工|同事|患者|客户)[{_SURNAMES}][\u4e00-\u9fff]{{1,2}}"
)
_NOT_NAMES = words(
    "the a an he she it they we you i this that these those who what when where why how everyone someone somebody "
    "nobody anyone people patient patients employee employees worker workers woman women man men child children "
    "in on at after before my our his her their your if but and or so as for from with by to of no not all each "
    "every some many most defendant plaintiff supreme united new high federal district north south east west "
    "great world city state states court company inc corp university party committee council department january "
    "february march april may june july august september october november december monday tuesday wednesday "
    "thursday friday saturday sunday der die das ein eine er sie es wir la les un une il elle el los las lo gli "
    "god congress government parliament senate apple google microsoft amazon facebook meta tesla uber bank army "
    "police"
)
_GIVEN_NAMES = words(
    "aaron abigail adam adrian ahmed aisha alan albert alejandro alessandro alex alexander alexandra alexis alice "
    "alicia alina ali amanda amelia amina amit amy ana andrea andreas andrew andrzej angela anita anja anjali "
    "anke anna anne annika anthony antoine antonio arjun arthur ashley astrid aurelie barbara bartosz beatrice "
    "beatriz ben benjamin bernd bianca bill birgit bjorn bob brandon brenda brian bruno camille carl carla carlos "
    "carmen carol caroline catherine cecilia charles charlotte chen chiara chris christian christina christine "
    "christopher claire clara claudia claus cristina cynthia dan daniel daniela david deborah deepak denise "
    "dennis diana diego dieter dmitri dmitry dominik donald donna doris dorothy edward eduardo elena eleanor "
    "elisa elizabeth ella ellen emily emma eric erik erika eva evelyn ewa fabian fatima federico felix fernanda "
    "fernando filip fiona florian frances francesca francesco francisco francois frank frederic fred gabriel "
    "gabriela gary george georg gerhard giovanni giulia gloria grace greg gregory grzegorz guillaume gustavo "
    "hannah hans harold harry hassan heather heinz helen helena helga henrik henry hiroshi holger hugo ian "
    "ibrahim ines ingrid irina isabel isabella ivan jack jacob jacqueline jaime jakub james jamie jan jane janet "
    "janice jason javier jean jeff jeffrey jennifer jens jeremy jessica jim joan joanna joao joe johan johanna "
    "john johannes jonas jonathan jorge jose joseph josh joshua juan judith judy julia julian julie julien jurgen "
    "justin karen karin karl karolina katarzyna kate katharina katherine kathleen kathryn katja keith kelly "
    "kenneth kerstin kevin kim klaus krzysztof kumar kyle lars laura lauren laurent lea lena leon leonardo li "
    "liam lisa lily linda louis louise luca lucas lucia lucy luis luisa lukas luke maciej magda magdalena manuel "
    "marc marcel marco marcus margaret maria marie marina mario mark marta martha martin martina mary matteo "
    "matthew matthias max maximilian megan mehmet mei melanie melissa mia michael michaela michal michel michelle "
    "miguel mike mikhail miriam mohamed mohammed monica monika muhammad nadia nancy natalia natalie natasha "
    "nathalie nathan neha nicholas nick nicolas nicole nikolai nina noah nora olga oliver olivia omar oscar otto "
    "pablo pamela paolo pascal patricia patrick paul paula pavel pawel pedro peggy peter petra philip philipp "
    "philippe pierre piotr priya rachel rafael raj rajesh ralf ralph ramon raul ravi raymond rebecca renate "
    "ricardo richard rita robert roberto robin roger roland ronald rosa rose roy ruth ryan sabine sally sam "
    "samantha samuel sandra sara sarah scott sean sebastian sergei sergey sergio sharon silke silvia simon simone "
    "sofia sonia sophia sophie stefan stefanie stephanie stephen steve steven susan susanne suresh svetlana sven "
    "sylvia tamara tanja tatiana ted teresa terry theresa thomas tim timothy tina tobias tom tomasz tony torsten "
    "tracy ulrich ursula uwe valentina valeria vanessa vera veronica victor victoria viktor vincent virginia "
    "vladimir walter wang wei wendy werner wilhelm will william wolfgang xavier yolanda yuki yusuf yves zhang zoe"
)


class People:
    """The persons of one text, by position."""

    def __init__(self, view: View) -> None:
        text = view.text
        self._named = sorted(_named_positions(view))
        subjects = [match for match in _SUBJECT.finditer(text) if _may_be_name(match.group("name"))]
        self._subjects = [match.end() for match in subjects]
        self._subject_names = [match.group("name") for match in subjects]
        self._chinese = [match.start() for match in _CHINESE.finditer(text)] if view.is_unspaced else []

    def are_named(self, first: int, last: int, *, beside: tuple[int, int]) -> bool:
        """Whether a sentence has a person; in Chinese, close to what is said."""
        place = bisect_left(self._named, first)
        if place < len(self._named) and self._named[place] < last:
            return True
        place = bisect_left(self._chinese, max(first, beside[0] - 16))
        return place < len(self._chinese) and self._chinese[place] < min(last, beside[1] + 8)

    def is_subject(self, start: int, *, first: int, known: bool) -> bool:
        """Whether a capitalised word and its verb stand shortly before a place; a `known` one is a given name."""
        place = bisect_right(self._subjects, start)
        if not place or self._subjects[place - 1] < max(first, start - 45):
            return False
        name = self._subject_names[place - 1]
        return not known or " " in name or name.lower() in _GIVEN_NAMES


def _named_positions(view: View) -> list[int]:
    text = view.text
    titled = [
        match.start()
        for words_of_it, pattern in ((_TITLE_WORDS, _TITLED), (_ROLE_WORDS, _IN_ROLE))
        if not words_of_it.isdisjoint(view.words)
        for match in pattern.finditer(text)
        if _may_be_name(match.group("name"))
    ]
    full = [match.start() for match in _FULL.finditer(text) if _is_person(match)]
    cyrillic = [] if text.isascii() else [match.start() for match in _CYRILLIC_FULL.finditer(text)]
    return titled + full + cyrillic


def _is_person(match: re.Match[str]) -> bool:
    """A common given name makes a person of two capitalised words, and so does what is theirs ("Ravi Gupta's")."""
    given, family = match.group("given"), match.group("family")
    known = given.lower() in _GIVEN_NAMES or match.group("own") is not None
    return known and _may_be_name(f"{given} {family}")


def _may_be_name(name: str) -> bool:
    return not any(word.lower() in _NOT_NAMES for word in name.split())
