"""Which finding means which label: the `[detection]` table of `policy.toml`, read and checked."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

from app.errors import ConfigurationError
from app.models import Label
from app.services.detectors.kinds import Kind

_KEYS = {"max_characters", "labels", "patterns", "dictionaries", "ignore", "own_networks", "own_domains"}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_DOMAIN = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*")
_LONGEST_PATTERN = 500
_DEFAULT_MAX_CHARACTERS = 2_000_000

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class OwnPattern:
    """A regular expression of the operator, and the label of what it finds."""

    name: str
    pattern: str
    label: Label


@dataclass(frozen=True, slots=True)
class OwnDictionary:
    """Words or phrases of the operator, found whatever their case, and their label."""

    name: str
    words: tuple[str, ...]
    label: Label


@dataclass(frozen=True)
class DetectionPolicy:
    """`labels` has one for every kind, `max_characters` bounds one scan, `ignore` holds values that are no finding."""

    labels: Mapping[str, Label]
    max_characters: int = _DEFAULT_MAX_CHARACTERS
    patterns: tuple[OwnPattern, ...] = ()
    dictionaries: tuple[OwnDictionary, ...] = ()
    ignore: frozenset[str] = frozenset()
    own_networks: tuple[Network, ...] = ()
    own_domains: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file; raises `ConfigurationError` with what is wrong. Kinds that it leaves out are confidential."""
        try:
            tables = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path} is not valid TOML: {error}.") from None
        return cls._from_table(_Table(f"{path}, [detection]", tables.get("detection", {})))

    @classmethod
    def _from_table(cls, table: _Table) -> Self:
        table.refuse_unknown(_KEYS)
        patterns, dictionaries = _own_patterns(table), _own_dictionaries(table)
        own_labels = {own.name: own.label for own in patterns} | {own.name: own.label for own in dictionaries}
        return cls(
            labels=_labels(table) | own_labels,
            max_characters=table.integer("max_characters", default=_DEFAULT_MAX_CHARACTERS),
            patterns=patterns,
            dictionaries=dictionaries,
            ignore=frozenset(value.casefold() for value in table.strings("ignore")),
            own_networks=_networks(table),
            own_domains=_domains(table),
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the policy's meaning, in hexadecimal: equal for files that differ in order and comments only."""
        meaning = {
            "labels": {kind: label.word for kind, label in self.labels.items()},
            "max_characters": self.max_characters,
            "patterns": sorted((own.name, own.pattern) for own in self.patterns),
            "dictionaries": sorted((own.name, sorted(own.words)) for own in self.dictionaries),
            "ignore": sorted(self.ignore),
            "own_networks": sorted(map(str, self.own_networks)),
            "own_domains": sorted(self.own_domains),
        }
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


class _Table:
    """A table of the file; its readers name the place and the fault."""

    def __init__(self, place: str, content: object) -> None:
        self.place = place
        if not isinstance(content, dict):
            self.refuse("must be a table")
        self.content: dict[str, object] = content

    def refuse(self, fault: str) -> NoReturn:
        raise ConfigurationError(f"{self.place}: {fault}.")

    def refuse_unknown(self, known: set[str]) -> None:
        for key in self.content.keys() - known:
            self.refuse(f"unknown key `{key}`; known are {', '.join(sorted(known))}")

    def integer(self, key: str, *, default: int) -> int:
        value = self.content.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            self.refuse(f"`{key}` must be a positive number")
        return value

    def string(self, key: str) -> str:
        value = self.content.get(key)
        if not isinstance(value, str) or not value:
            self.refuse(f"`{key}` must be a text")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        values = self.content.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) and value.strip() for value in values):
            self.refuse(f"`{key}` must be a list of texts")
        return tuple(values)

    def label(self, key: str) -> Label:
        try:
            return Label.parse(self.string(key))
        except ValueError as error:
            self.refuse(f"`{key}` {error}")

    def table(self, key: str) -> _Table:
        return _Table(f"{self.place}.{key}", self.content.get(key, {}))

    def tables(self, key: str) -> list[_Table]:
        values = self.content.get(key, [])
        if not isinstance(values, list):
            self.refuse(f"`{key}` must be a list of tables")
        return [_Table(f"{self.place}.{key}[{index}]", value) for index, value in enumerate(values)]


def _labels(table: _Table) -> dict[str, Label]:
    stated = table.table("labels")
    stated.refuse_unknown({kind.value for kind in Kind})
    return {kind.value: stated.label(kind) if kind in stated.content else Label.CONFIDENTIAL for kind in Kind}


def _own_name(table: _Table, *, taken: set[str]) -> str:
    name = table.string("name")
    if not _NAME.fullmatch(name):
        table.refuse("`name` must be lower-case letters, digits and underscores")
    if name in taken or name in {"uninspected", "detector_failure"}:
        table.refuse(f"the name `{name}` is taken")
    taken.add(name)
    return name


def _own_patterns(table: _Table) -> tuple[OwnPattern, ...]:
    taken = {kind.value for kind in Kind}
    patterns = []
    for entry in table.tables("patterns"):
        entry.refuse_unknown({"name", "pattern", "label"})
        patterns.append(OwnPattern(_own_name(entry, taken=taken), _checked_pattern(entry), entry.label("label")))
    return tuple(patterns)


def _own_dictionaries(table: _Table) -> tuple[OwnDictionary, ...]:
    taken = {kind.value for kind in Kind} | {str(entry.content.get("name")) for entry in table.tables("patterns")}
    dictionaries = []
    for entry in table.tables("dictionaries"):
        entry.refuse_unknown({"name", "words", "label"})
        words = entry.strings("words")
        if not words:
            entry.refuse("`words` is empty")
        dictionaries.append(OwnDictionary(_own_name(entry, taken=taken), words, entry.label("label")))
    return tuple(dictionaries)


def _checked_pattern(table: _Table) -> str:
    """The pattern, if it compiles, matches no empty text, and cannot take exponential time."""
    pattern = table.string("pattern")
    if len(pattern) > _LONGEST_PATTERN:
        table.refuse(f"`pattern` is longer than {_LONGEST_PATTERN} characters")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        table.refuse(f"`pattern` is not a regular expression: {error}")
    if compiled.match(""):
        table.refuse("`pattern` matches an empty text")
    if repeats_a_repeat(pattern):
        table.refuse("`pattern` repeats a group that holds a repeat or a choice, which can take exponential time")
    return pattern


def repeats_a_repeat(pattern: str) -> bool:
    """Whether a group that holds `*`, `+`, `{` or `|` is itself repeated without a small bound, as in `(a+)+`."""
    bare = re.sub(r"\\.|\[(?:\\.|[^\]\\])[^\]]*\]", "x", pattern)
    risky: list[bool] = [False]
    position = 0
    while position < len(bare):
        character = bare[position]
        if character == "(":
            risky.append(False)
        elif character == ")" and len(risky) > 1:
            inner = risky.pop()
            repeated = re.match(r"[*+]|\{\d*,\}|\{\d*,?\d{2,}\}", bare[position + 1 :]) is not None
            if inner and repeated:
                return True
            risky[-1] = risky[-1] or inner or repeated
        elif character in "*+{|":
            risky[-1] = True
        position += 1
    return False


def _networks(table: _Table) -> tuple[Network, ...]:
    networks: list[Network] = []
    for text in table.strings("own_networks"):
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError:
            table.refuse(f"`own_networks`: {text} is not a network such as 10.20.0.0/16")
    return tuple(networks)


def _domains(table: _Table) -> tuple[str, ...]:
    domains = tuple(domain.lower().removeprefix("*.").strip(".") for domain in table.strings("own_domains"))
    for domain in domains:
        if not _DOMAIN.fullmatch(domain):
            table.refuse(f"`own_domains`: {domain} is not a domain such as corp.example")
    return domains
