"""E-mail, IP and hardware addresses, and the hosts of the operator's own network."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence

from app.services.detectors.kinds import Kind, Span
from app.services.detectors.normalise import View
from app.services.detectors.vocabulary import Vocabulary

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOCAL_REVERSED = re.compile(r"[a-z0-9._%+'-]{0,63}[a-z0-9_+-]")
_DOMAIN = re.compile(r"(?:[a-z0-9-]{1,63}\.){1,8}[a-z][a-z0-9-]{1,23}(?![a-z0-9])")
_SPOKEN_EMAIL = re.compile(
    r"(?<![a-z0-9])[a-z0-9._%+-]{2,40}(?: ?[\[({<] ?(?:at|@|arroba) ?[\])}>] ?| at | @ )"
    r"[a-z0-9-]{2,40}(?:(?: ?[\[({<] ?(?:dot|\.|punkt|point|punto) ?[\])}>] ?| dot | \. "
    r"|\.)[a-z0-9-]{2,20}){1,3}(?![a-z0-9])"
)
_BRACKETED = re.compile(r"[\[({<] ?(?:at|@|arroba|dot|\.|punkt|point|punto) ?[\])}>]")
_SPOKEN_SIGN = re.compile(rf"{_BRACKETED.pattern}| @ | dot ")
_TOP_LEVEL = re.compile(
    r"(?:com|org|net|edu|gov|info|io|co|dev|app|ai|de|fr|es|it|uk|nl|pl|pt|se|no|dk|fi|ch|at|be|eu|cn|jp|in"
    r"|br|ru|us|ca|au)$"
)
# RFC 2606 and RFC 6761: names that are nobody's. Placeholders of documentation are treated alike.
_RESERVED_DOMAIN = re.compile(
    r"(?:.*\.)?(?:example\.(?:com|org|net|edu|[a-z.]{2,6})|[a-z0-9-]+\.(?:example|test|invalid|localhost)"
    r"|example|test|invalid"
    r"|(?:your-?|my-?)?(?:domain|company|yourcompany|mycompany|yourdomain|mydomain|organization"
    r"|email)\.(?:com|org|net))"
)
_PLACEHOLDER_LOCAL = re.compile(r"(?:your|x{2,}|\.+|user(?:name)?@(?:host|server|domain))")
_FILE_ENDING = re.compile(
    r"(?:png|jpe?g|gif|svg|webp|ico|css|js|ts|py|json|html?|md|txt|pdf|zip|gz|so|exe|dll|ya?ml|toml|lock|sh)$"
)

_IPV4 = re.compile(r"(?<![\w.])(?<![\w][-+])(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})(?![\w]|\.\w|-\w)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}(?:[0-9a-f]{1,4}|\d{1,3}(?:\.\d{1,3}){3})?(?![\w:])")
_GROUPS_OF_IPV6 = re.compile(r":[0-9a-f]{0,4}:")
_MAC = re.compile(
    r"(?<![\w:-])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![\w:-])"
    r"|(?<![\w.])[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}(?![\w.])"
)
_VERSION_BEFORE = re.compile(
    r"(?:(?<![a-z])(?:v|ver|vers|version|versions|versiune|release|releases|build|firmware|driver|revision"
    r"|rev|patch|update|upgrade|upgraded|upgrading"
    r"|downgrade|downgraded|bump|bumped|updated|section|chapter|clause|article|paragraph|figure|table|step"
    r"|appendix|oid|versie|versao|wersja|wersji|verzio"
    r"|kapitel|abschnitt|kernel|sdk|sql server|chrome|firefox|edge|safari|assemblyversion"
    r"|fileversion)(?![a-z])|版本|==|>=|<=|~=|\^|\u00a7)"
    r"(?:[\d .:=#\"'(@~-]|(?<![a-z])(?:to|from|is|was|number|no|of|v|and|with|than)(?![a-z]))*$"
    r"|[a-z][/@-]v?$|[a-z] v$"
)
# What can end in a version word: letters and the signs that may follow them.
_LAST_WORDS = re.compile(r"[a-z版本=^~\u00a7][\d .:=#\"'(@~/<>-]{0,30}$")
_IP_BEFORE = re.compile(
    r"(?:\bip\b|\bips\b|ipv4|address|addr|host|server|ping|client|remote|gateway|dns|connect|//|@|\[)[^\n]{0,30}$"
)
_NAME_BEFORE = re.compile(r"[A-Z][\w.]*[ -]$")
_HARDWARE_WORDS = Vocabulary(
    "mac, mac address, hardware address, ethernet, hwaddr, bssid, wifi, wlan, mac-adresse, adresse mac, dirección mac"
)
_OURS = Vocabulary(
    "our, ours, internal, intranet, prod, production, staging, office, company, corporate, corp, vpn",
    "unser, unsere, unserem, unseren, interner, interne, internen",
    "notre, nos, interne, nuestro, nuestra, interno, interna, nostro, nostra, nosso, nossa, ons, onze",
    "nasz, nasza, vår, vores, 我们, 内部, 公司",
)
_HOST_ENDINGS = frozenset({"internal", "intranet", "corp", "lan", "intra", "local", "localdomain", "arpa", "private"})
_HOST = re.compile(
    r"(?<![\w.-])(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.){1,6}(?:internal|intranet|corp|lan|intra"
    r"|local|localdomain|home\.arpa|private)(?![\w-]|\.\w)"
)
_HOST_ENDING = re.compile(rf"\.(?:{'|'.join(sorted(_HOST_ENDINGS))})\b")


def find_emails(view: View) -> Iterator[Span]:
    """Addresses as they are typed, and as they are spelt to fool harvesters ("jo [at] mail [dot] org")."""
    for sign in re.finditer("@", view.lower):
        span = _typed_email(view.lower, sign.start())
        if span is not None:
            yield span
    if _is_spelt(view):
        for match in _SPOKEN_EMAIL.finditer(view.lower):
            if _SPOKEN_SIGN.search(match.group()) and _TOP_LEVEL.search(match.group()):
                yield Span(Kind.EMAIL, match.start(), match.end())


def _is_spelt(view: View) -> bool:
    """Whether the text has a word for the sign of an address and one of the signs that keep harvesters off."""
    text = view.lower
    if " @ " not in text and view.words.isdisjoint({"at", "arroba"}):
        return False
    return " @ " in text or " dot " in text or _BRACKETED.search(text) is not None


def _typed_email(text: str, sign: int) -> Span | None:
    local = _LOCAL_REVERSED.match(text[max(0, sign - 64) : sign][::-1])
    domain = _DOMAIN.match(text, sign + 1)
    if local is None or domain is None:
        return None
    start = sign - local.end()
    if not _is_somebodys(text[start : domain.end()]):
        return None
    return Span(Kind.EMAIL, start, domain.end())


def _is_somebodys(address: str) -> bool:
    local, _, domain = address.rpartition("@")
    return not (
        _RESERVED_DOMAIN.fullmatch(domain)
        or _PLACEHOLDER_LOCAL.match(local)
        or _FILE_ENDING.search(domain)
        or (local == "git" and domain.startswith(("github.", "gitlab.", "bitbucket.")))
    )


def find_ip_addresses(view: View, *, own: Sequence[Network]) -> Iterator[Span]:
    """Public addresses, and private ones where the text or the operator calls them ours. Versions are none."""
    for start, end in view.digit_runs:
        for match in _IPV4.finditer(view.text, start, end + 2) if view.text.count(".", start, end) > 2 else ():
            kind = _kind_of_ipv4(view, match, own=own)
            if kind is not None:
                yield Span(kind, match.start(), match.end())
    if _GROUPS_OF_IPV6.search(view.lower):
        for match in _IPV6.finditer(view.lower):
            kind = _kind_of_ipv6(view, match, own=own)
            if kind is not None:
                yield Span(kind, match.start(), match.end())


def _kind_of_ipv4(view: View, match: re.Match[str], *, own: Sequence[Network]) -> Kind | None:
    try:
        address = ipaddress.IPv4Address(match.group(1))
    except ValueError:
        return None
    before = view.lower[max(0, match.start() - 40) : match.start()]
    if _is_version(before):
        return None
    kind = _kind_of_address(view, address, match, own=own)
    if kind is Kind.IP_ADDRESS and _has_version_numbers(view, address, match) and not _IP_BEFORE.search(before):
        return None
    return kind


def _has_version_numbers(view: View, address: ipaddress.IPv4Address, match: re.Match[str]) -> bool:
    """Versions are made of small numbers, or start with one behind the product's name."""
    named = _NAME_BEFORE.search(view.text[max(0, match.start() - 24) : match.start()]) is not None
    return max(address.packed) < 30 or (address.packed[0] < 32 and named)


def _is_version(before: str) -> bool:
    """Whether what stands in front of four numbers makes them a version or a section."""
    words = _LAST_WORDS.search(before)
    return words is not None and _VERSION_BEFORE.search(before) is not None


def _kind_of_ipv6(view: View, match: re.Match[str], *, own: Sequence[Network]) -> Kind | None:
    text = match.group()
    groups = [group for group in text.split(":") if group]
    if len(groups) < 3 or not any(character.isdigit() for character in text):
        return None
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    return _kind_of_address(view, address.ipv4_mapped or address, match, own=own)


def _kind_of_address(
    view: View, address: ipaddress.IPv4Address | ipaddress.IPv6Address, match: re.Match[str], *, own: Sequence[Network]
) -> Kind | None:
    if own and any(address.version == network.version and address in network for network in own):
        return Kind.INTERNAL_ADDRESS
    if address.is_global and not address.is_multicast and not (address.version == 4 and address.is_reserved):
        return Kind.IP_ADDRESS
    lasting = address.is_private and not (
        address.is_loopback or address.is_link_local or address.is_unspecified or address.is_reserved
    )
    if (
        lasting
        and address.version == 4
        and _is_unrouted(address)
        and _OURS.near(view, match.start(), match.end(), before=40, after=30)
    ):
        return Kind.INTERNAL_ADDRESS
    return None


_UNROUTED = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))


def _is_unrouted(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return any(address in network for network in _UNROUTED)


def find_mac_addresses(view: View) -> Iterator[Span]:
    """Hardware addresses beside a word that says so."""
    if _HARDWARE_WORDS.occurs(view):
        for match in _MAC.finditer(view.lower):
            if len(set(match.group())) > 2 and _HARDWARE_WORDS.near(view, match.start(), match.end()):
                yield Span(Kind.MAC_ADDRESS, match.start(), match.end())


def find_internal_hosts(view: View, *, own: re.Pattern[str] | None) -> Iterator[Span]:
    """Names under the endings that organisations use inside, and under the operator's own domains."""
    for match in _HOST.finditer(view.lower) if _HOST_ENDING.search(view.lower) else ():
        if not match.group().endswith("metadata.google.internal"):
            yield Span(Kind.INTERNAL_HOST, match.start(), match.end())
    for match in own.finditer(view.lower) if own is not None else ():
        yield Span(Kind.INTERNAL_HOST, match.start(), match.end())
