"""Keys, tokens, passwords and connection strings."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from app.services.detectors.kinds import Kind, Span
from app.services.detectors.normalise import View

# Provider keys by the fixed prefix that each provider documents. They are tried on long tokens only.
_PROVIDER_KEY = re.compile(
    r"""
    (?<![A-Za-z0-9])(?:
        (?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z2-7]{16}                                     # AWS
      | AIza[\w-]{35}                                                                     # Google API
      | GOCSPX-[\w-]{28}                                                                  # Google OAuth client
      | ya29\.[\w-]{20,} | 1//0[\w-]{38,}                                                # Google OAuth access
      | gh[pousr]_[A-Za-z0-9]{36,} | github_pat_\w{22,}                                   # GitHub
      | gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt|oas|ffct)-[\w-]{20,}                     # GitLab
      | xox[abeoprs](?:\.xox[bp])?-[\w-]{10,} | xapp-\d-[\w-]{10,}                        # Slack
      | (?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{10,} | whsec_[A-Za-z0-9+/=]{24,}      # Stripe, Clerk
      | sk-(?:proj-|svcacct-|admin-|ant-[a-z0-9]+-|or-v1-|lf-)?[A-Za-z0-9][\w-]{18,}      # OpenAI, Anthropic
      | hf_[A-Za-z0-9]{30,} | api_org_[A-Za-z0-9]{30,} | gsk_[A-Za-z0-9]{40,} | r8_[\w-]{37,}   # model hosts
      | pplx-[A-Za-z0-9]{40,} | xai-[A-Za-z0-9]{60,} | fc-[0-9a-f]{32} | cfut_[\w-]{40,}
      | tgp_v1_[\w-]{40,} | fw_[A-Za-z0-9]{20,} | nvapi-[\w-]{40,} | csk-[a-z0-9]{40,}
      | jina_[\w-]{40,} | tvly-[\w-]{20,} | lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}
      | SG\.[\w-]{16,}\.[\w-]{30,} | key-[0-9a-f]{32} | [0-9a-f]{32}-us\d{1,2}            # mail
      | xkeysib-[0-9a-f]{64}-\w{16}
      | (?:SK|AC)[0-9a-f]{32}                                                             # Twilio
      | npm_[A-Za-z0-9]{36} | pypi-[\w-]{50,} | rubygems_[0-9a-f]{48} | cio[A-Za-z0-9]{32}  # registries
      | dckr_(?:pat|oat)_[\w-]{20,} | oy2[a-z0-9]{43}
      | do[opr]_v1_[0-9a-f]{64} | shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32} | sq0[a-z]{3}-[\w-]{22,}  # DigitalOcean
      | EAAA[\w-]{60}
      | dapi[0-9a-f]{32}(?:-\d)? | ATATT3[\w=-]{50,} | ATCTT3[\w=-]{50,}
      | lin_(?:api|oauth)_[A-Za-z0-9]{32,} | (?:secret|ntn)_[A-Za-z0-9]{40,}
      | hv[sbr]\.[\w-]{24,} | [A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,}                        # Vault, Terraform, Doppler
      | dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{40,}
      | PMAK-[0-9a-f]{24}-[0-9a-f]{34} | NR(?:AK|JS|II)-[\w-]{19,} | sntry[su]_[\w=+/-]{40,}
      | gl(?:sa|c)_[\w=+/-]{32,} | fm[12][ar]?_[\w+/=,-]{40,}
      | HRKU-[\w-]{36,} | sbp_[0-9a-f]{40} | sb_(?:secret|publishable)_[\w-]{20,}
      | pat[A-Za-z0-9]{14}\.[0-9a-f]{64} | fig[dorh]_[\w-]{40,} | sl\.[\w-]{60,}
      | pscale_(?:tkn|pw|oauth)_[\w.-]{32,} | EAA[A-Za-z0-9]{60,} | AGE-SECRET-KEY-1[A-Z0-9]{58}
      | phc_[\w-]{40,} | pul-[0-9a-f]{40}
      | CFPAT-[\w-]{40,} | v1\.0-[0-9a-f]{24}-[0-9a-f]{100,} | t1\.[\w-]{60,} | AQVN[\w-]{35,}  # clouds
      | LTAI[A-Za-z0-9]{16,24} | AKID[A-Za-z0-9]{32}
      | ops_eyJ[\w+/=]{60,} | tskey-[a-z]+-[\w-]{20,} | rpa_[A-Z0-9]{40,} | key_[0-9a-f]{32}
      | rdme_\w{60,} | ddp?_[A-Za-z0-9]{30,} | nfp_[\w]{36} | vc[apikr]_\w{20,}
      | hooks\.slack\.com/(?:services|workflows)/[\w/-]{30,}                              # web hooks
      | discord(?:app)?\.com/api/webhooks/\d{17,20}/[\w-]{60,}
      | \d{8,10}:AA[\w-]{32,35}                                                           # Telegram
      | [MNO][A-Za-z\d]{23,27}\.[\w-]{6}\.[\w-]{27,40}                                    # Discord
      | eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]* | eyJ[\w-]{8,}(?:\.[\w-]*){4}                  # JSON web tokens
      | \$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53} | \$argon2(?:id|i|d)\$[^\s\x22']{30,}         # password hashes
      | \$[156]\$[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{22,}
    )
    """,
    re.VERBOSE,
)

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[A-Za-z0-9+/=\s\\:,.()-]{0,4000}?-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r"|[A-Za-z0-9+/=\s\\]{0,4000})|PuTTY-User-Key-File-\d: ?[\w-]{1,30}"
)

_LOGIN_NAME = (
    r"pass(?:word|wd|phrase|code)?|pwd|passwort|kennwort|mot de passe|mdp|contrasena|clave|senha"
    r"|palavra-passe|parola|wachtwoord|haslo|losenord|adgangskode"
    r"|passord|salasana|heslo|jelszo|sifre|пароль"
    r"|κωδικος|密码|口令|密碼"
    r"|パスワード|비밀번호"
)
_KEY_NAME = (
    r"secret|token|api[_ .-]?key|access[_ -]?key|account[_ -]?key|sharedaccesskey|private[_ -]?key"
    r"|auth[_ -]?key|encryption[_ -]?key|signing[_ -]?key|master[_ -]?key"
    r"|client[_ -]?secret|credentials?|bearer|jwt|密钥|秘钥|令牌|schlussel"
)
_NAMED = re.compile(
    rf"(?:(?P<password>{_LOGIN_NAME})|(?P<key>{_KEY_NAME}))(?P<rest>[\w-]{{0,24}})[\"'`\]]{{0,2}}"
    r"(?:\s(?:for|on|of|to|at|in|fur|von|zum|zur|du|de|del|pour|para|di|per|voor|van|do|dla|till|for"
    r"|til)(?:\s[\w.@-]{1,30}){1,4}?)?"
    r"(?:\s{0,4}(?P<sign>:=|=>|={1,3}|:|\uff1a)|\s{1,3}(?P<verb>is|was|ist|lautet|est|es|e|jest|to|ar|er|on"
    r"|set to|для)(?=\s)|\s?(?P<shi>是|为))"
    r"\s{0,4}(?:(?:f|b|r|rb"
    r"|str)?(?P<quote>[\"'`\u201c\u2018\u00ab])(?P<quoted>[^\"'`\n\u201d\u2019\u00bb]{4,200})[\"'`\u201d\u2019\u00bb]"
    r"|(?P<bare>[^\s\"'`,;<>(){}\[\]|]{4,200}))"
)
# What each name begins with: the names themselves are tried only where one of these stands.
_NAME_STARTS = (
    "pass", "pwd", "kennwort", "mot de passe", "mdp", "contrasena", "clave", "senha", "palavra-passe", "parola",
    "wachtwoord", "haslo", "losenord", "adgangskode", "salasana", "heslo", "jelszo", "sifre", "secret", "token",
    "api", "access", "account", "sharedaccess", "private", "auth", "encryption", "signing", "master", "client",
    "credential", "bearer", "jwt", "schlussel",
)  # fmt: skip
_OTHER_NAME_STARTS = (
    "пароль", "κωδικος", "密", "口令",
    "パスワード", "비밀번호", "秘钥", "令牌",
)  # fmt: skip
# What follows the name in names of other things: `password_hash`, `token_count`, `secret_name`.
_OTHER_THING = re.compile(
    r"[_-]?(?:hash|hashed|field|fields|input|length|len|policy|reset|id|ids|name|names|file|path|url|uri"
    r"|type|expir\w*|count|counts|limit|limits|budget|ttl|size|min|max"
    r"|strength|hint|label|placeholder|prompt|manager|provider|service|store|map|less|age|usage|s|ize|izer"
    r"|ized|izing|ization|response|request|require\w*|valid\w*|confirm\w*|check\w*|error|model|class|column"
    r"|ring|word|board|stroke|pair|es|ed|ing|port|enger|ion|ive|over|through|by|ary|aria)+s?$"
)
_PLACEHOLDER = re.compile(
    r"(?:[<{$%\[(*].*|.*(?:your[_ -]?|example|placeholder|changeme|change[_-]me|replace[_-]?(?:me|with)|redacted"
    r"|xxxx|\*\*\*|\.\.\.|\u2026|todo|fixme|goes[_-]?here|env\[|environ|getenv|process\.env|secrets\.|vault\.).*"
    r"|(?:my|the|a|an|some|new|old|test|user|db|admin|default|secure|strong|super)?[_ -]?(?:password|passwd"
    r"|pass|pwd|secret|token|key|api[_-]?key|string|str|text|value|username|user|login|foo|bar|test|none"
    r"|null|nil|true|false|undefined|required|optional|empty|hidden|any|varchar\S*|char\S*"
    r"|nvarchar\S*)\d{0,2}"
    r"|([a-z0-9*.\-_])\1+|(?:abc|def|123|456|78|xyz|qwerty)+)",
    re.IGNORECASE,
)
_SHORTEST_PASSWORD = 6
_USER_BEFORE = re.compile(r"(?<![a-z])(?:user(?:name| ?id)?|uid|login)=[^\s;,()]{1,40}[\s;,&]{1,2}$")
_IDENTIFIER = re.compile(r"[@&*!-]?[a-z_$][\w$]*(?:(?:\.|->|::|\?\.)[a-z_$][\w$]*)*[.?!:)]*", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"://(?P<user>[^\s:/@\"'<>]{0,80}):(?P<value>[^\s@/\"'<>]{2,120})@[\w\[.-]")
_SCHEME = re.compile(r"[a-z0-9+.-]{1,24}$")
_DATABASES = (
    "postgres",
    "mysql",
    "mariadb",
    "mongodb",
    "redis",
    "amqp",
    "mssql",
    "sqlserver",
    "oracle",
    "jdbc",
    "clickhouse",
    "cockroach",
    "ldap",
    "snowflake",
)
_AUTHORIZATION = re.compile(
    r"(?:authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?\s?(?:basic|bearer|token|apikey|digest)?|bearer"
    r"|basic)\s+(?P<value>[\w+/=.~:-]{12,400})"
)
_COMMAND_USER = re.compile(r"(?:^|\s)(?:-u|--user)[ =][\"']?[\w.@-]{1,64}:(?P<value>[^\s\"']{4,100})")
_COMMAND_PASSWORD = re.compile(
    r"(?:(?:^|\s)--pass(?:word|wd|phrase)?[ =]|\bsshpass\s+-p\s?|\bmysql(?:dump|admin)?\s[^\n"
    r"|;]{0,60}?\s-p)[\"']?(?P<value>[^\s\"'-][^\s\"']{3,100})"
)
_PIN = re.compile(
    r"(?<![a-z])pin(?:[ -]?(?:code|number|nummer))?\s{0,2}(?:is|ist|est|es|:|="
    r"|是)\s{0,2}(?P<value>\d{4,8})(?![\w.])"
)
_SIGNATURE = re.compile(
    r"[?&;](?:sig|signature|x-amz-signature|access_token|api_key|apikey|key|token)=(?P<value>[\w%+/=.-]{20,})"
)
_CONTEXT = re.compile(
    r"(?<![a-z])(?:secret|token|api|apikey|credential|credentials|auth|access key|private key"
    r"|encryption key|license key|licence key|webhook|client id|bearer|signing key|passkey"
    r"|seed)(?![a-z])[^\n]{0,40}$"
)
_DIGEST_BEFORE = re.compile(
    r"(?:sha-?\d*|md5|hash|digest|checksum|commit|etag|fingerprint|public|uuid|guid|integrity|blob|tree"
    r"|revision|rev|cid|image|example)\W{0,3}[^\n]{0,12}$"
)


def find_private_keys(view: View) -> Iterator[Span]:
    """Keys in PEM armour, PGP blocks and PuTTY files, with as much of their body as is there."""
    if "PRIVATE KEY" in view.text or "PuTTY-User" in view.text:
        for match in _PRIVATE_KEY.finditer(view.text):
            yield Span(Kind.PRIVATE_KEY, match.start(), match.end())


def find_provider_keys(view: View) -> Iterator[Span]:
    """Keys and tokens that carry their provider's prefix, and random values beside a word like "secret"."""
    for start, end in view.long_tokens:
        matches = _PROVIDER_KEY.finditer(view.text, start, end)
        known = [match for match in matches if not _is_sample(match.group())]
        for match in known:
            kind = Kind.TOKEN if match.group().startswith(("eyJ", "ya29.", "xox")) else Kind.PROVIDER_KEY
            yield Span(kind, match.start(), match.end())
        if not known and _is_random_beside_word(view, start, end):
            yield Span(Kind.HIGH_ENTROPY, start, end)


def _is_sample(value: str) -> bool:
    upper = value.upper()
    return "EXAMPLE" in upper or "XXXX" in upper or "YOUR" in upper or "PLACEHOLDER" in upper or len(set(value[8:])) < 6


def _is_random_beside_word(view: View, start: int, end: int) -> bool:
    value = view.text[start:end]
    if len(value) < 20 or "://" in value or value.count("/") > 3 or not looks_random(value):
        return False
    before = view.lower[max(0, start - 60) : start]
    return _CONTEXT.search(before) is not None and _DIGEST_BEFORE.search(before) is None


def looks_random(value: str) -> bool:
    """Letters and digits mixed, and at least 3 bits a character by the value's own frequencies."""
    if not (any(c.isdigit() for c in value) and any(c.isalpha() for c in value)):
        return False
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())
    return entropy >= 3.0


def find_passwords(view: View) -> Iterator[Span]:
    """Values that a name, a verb or an option calls a password, a key or a token; placeholders and code are none."""
    end = 0
    for position in sorted(_name_positions(view)):
        match = _NAMED.match(view.lower, position) if position >= end else None
        span = _named_value(view, match) if match is not None else None
        if span is not None:
            end = span.end
            yield span
    for pattern in (_AUTHORIZATION, _COMMAND_USER, _COMMAND_PASSWORD, _PIN, _SIGNATURE):
        for match in pattern.finditer(view.lower) if _may_match(pattern, view) else ():
            value = view.text[match.start("value") : match.end("value")]
            if _PLACEHOLDER.fullmatch(value) is None and (
                pattern in {_PIN, _COMMAND_USER, _COMMAND_PASSWORD} or looks_random(value)
            ):
                yield Span(Kind.PASSWORD, match.start("value"), match.end("value"))


def _name_positions(view: View) -> Iterator[int]:
    for start in _NAME_STARTS if view.text.isascii() else _NAME_STARTS + _OTHER_NAME_STARTS:
        position = view.lower.find(start)
        while position >= 0:
            yield position
            position = view.lower.find(start, position + len(start))


def _may_match(pattern: re.Pattern[str], view: View) -> bool:
    if pattern is _AUTHORIZATION:
        return not view.words.isdisjoint({"authorization", "bearer", "basic"})
    if pattern is _COMMAND_USER:
        return "-u" in view.text or "--user" in view.text
    if pattern is _COMMAND_PASSWORD:
        return "--pass" in view.lower or not view.words.isdisjoint({"sshpass", "mysql", "mysqldump", "mysqladmin"})
    return "pin" in view.words if pattern is _PIN else "=" in view.text


def _named_value(view: View, match: re.Match[str]) -> Span | None:
    group = "quoted" if match.group("quoted") is not None else "bare"
    start, end = match.span(group)
    value = view.text[start:end]
    if _OTHER_THING.fullmatch(match.group("rest")) or match.group("sign") in {"==", "==="}:
        return None
    value = value.rstrip(".,:?") if group == "bare" else value
    if _PLACEHOLDER.fullmatch(value) or view.text[end : end + 1] == "(":
        return None
    is_password = match.group("password") is not None
    plain_word = _is_setting(view, match) and value.isalpha() and len(value) >= _SHORTEST_PASSWORD
    plausible = plain_word or _is_password(value, quoted=group == "quoted") if is_password else _is_key(value)
    connection = match.group("key") in {"accountkey", "sharedaccesskey"}
    kind = Kind.PASSWORD if is_password else Kind.CONNECTION_STRING if connection else Kind.TOKEN
    return Span(kind, start, start + len(value)) if plausible else None


def _is_setting(view: View, match: re.Match[str]) -> bool:
    """Whether the value is one of an environment file or a connection string, where plain words are passwords too."""
    name = view.text[match.start("password") : match.end("password")]
    before = view.lower[max(0, match.start() - 60) : match.start()]
    return match.group("sign") == "=" and (name.isupper() or _USER_BEFORE.search(before) is not None)


def _is_password(value: str, *, quoted: bool) -> bool:
    has_digit = any(c.isdigit() for c in value)
    has_letter = any(c.isalpha() for c in value)
    if " " in value:
        return has_digit and has_letter and value.count(" ") < 5 and quoted
    if quoted:
        return len(value) >= 4
    if _IDENTIFIER.fullmatch(value) and not has_digit:
        return False
    return (
        len(value) >= _SHORTEST_PASSWORD
        and has_letter
        and (has_digit or any(not c.isalnum() for c in value.strip("-_.:/")))
    )


def _is_key(value: str) -> bool:
    return len(value) >= 12 and " " not in value and looks_random(value) and "(" not in value


def find_url_passwords(view: View) -> Iterator[Span]:
    """Passwords in URLs; those of databases and queues are connection strings."""
    if "://" not in view.text:
        return
    for match in _URL_PASSWORD.finditer(view.text):
        value = match.group("value")
        if _PLACEHOLDER.fullmatch(value) is None:
            scheme = _SCHEME.search(view.lower[max(0, match.start() - 24) : match.start()])
            database = scheme is not None and scheme.group().startswith(_DATABASES)
            yield Span(Kind.CONNECTION_STRING if database else Kind.PASSWORD, match.start("value"), match.end("value"))
