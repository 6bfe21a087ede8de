import base64
from pathlib import Path

import pytest

from app.services.detectors import DetectionPolicy, Detectors, Kind
from benchmarks.detection.lookalikes import lookalikes
from tests.services.detectors.made_up_secrets import BASE32, HEXADECIMAL, private_key, provider_keys, random_text

DETECTORS = Detectors(DetectionPolicy.load(Path(__file__).resolve().parents[3] / "policy.toml"))


def found(text: str) -> set[tuple[str, str]]:
    return {(span.kind, text[span.start : span.end]) for span in DETECTORS.spans(text)}


def kinds(text: str) -> set[str]:
    return {span.kind for span in DETECTORS.spans(text)}


@pytest.mark.parametrize("key", provider_keys().values(), ids=provider_keys().keys())
def test_provider_key_is_found_whole_in_prose(key: str) -> None:
    found_values = {value for kind, value in found(f"Please use {key} for the call.")}
    assert any(value in key and len(value) > len(key) * 0.7 for value in found_values)


def test_private_key_is_found_to_its_last_line() -> None:
    key = private_key()
    assert found(f"Here:\n{key}\nKeep it.") == {(Kind.PRIVATE_KEY, key)}


def test_private_key_inside_json_is_found() -> None:
    assert Kind.PRIVATE_KEY in kinds('{"key": "' + private_key().replace("\n", "\\n") + '"}')


PASSWORDS = [
    "The database password is {}.",
    "password: {}",
    'password = "{}"',
    '{{"password": "{}"}}',
    '{{\\"db_password\\": \\"{}\\"}}',
    "DB_PASSWORD={}",
    "the root password on the build server is {}",
    "curl -u admin:{} https://host",
    "mysql -u root -p{} shop",
    "tool --password={}",
    "Passwort: {}",
    "mot de passe : {}",
    "La contraseña es {}",
    "senha: {}",
    "hasło: {}",
    "пароль: {}",
    "密码是{}",
    "https://bob:{}@host/path",
    "postgresql://app:{}@db:5432/shop",
    "Server=tcp:db.net;User ID=sa;Password={};",
]


@pytest.mark.parametrize("template", PASSWORDS)
def test_password_beside_its_name_is_found(template: str) -> None:
    password = "Blue7" + random_text(6)
    assert any(password in value for _, value in found(template.format(password)))


@pytest.mark.parametrize(
    "template", ["aws_secret_access_key = {}", "client_secret={}", "x-api-key: {}", "Authorization: Bearer {}"]
)
def test_random_value_beside_its_name_is_found(template: str) -> None:
    assert DETECTORS.spans(template.format(random_text(40)))


@pytest.mark.parametrize(
    "text",
    [
        "password = input('Password: ')",
        "def login(username: str, password: str) -> None:",
        "api_key=os.environ['OPENAI_API_KEY']",
        "const password = req.body.password;",
        "token = tokenizer.encode(text)",
        "max_tokens=1000",
        "The password must be at least 8 characters long.",
        "The secret is to be patient.",
        "primary key: id",
        "password: <your password>",
        "What is basic authentication with a bearer token?",
    ],
)
def test_talk_and_code_about_secrets_is_no_finding(text: str) -> None:
    assert kinds(text) == set()


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111111",
        "4111-1111-1111-1111",
        "4111 1111 1111 1111",
        "4111.1111.1111.1111",
        "(4111)(1111)(1111)(1111)",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1",
        "41 11 11 11 11 11 11 11",
        "4111 1111\n1111 1111",
        "４１１１１１１１１１１１１１１１",
        "𝟒𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏",
        "٤١١١١١١١١١١١١١١١",
        "4111\u200b1111\u200b1111\u200b1111",
        "4111‑1111‑1111‑1111",
        "four one one one one one one one one one one one one one one one",
        r"\u0034111111111111111",
        "%34111111111111111",
        "&#52;111111111111111",
        base64.b64encode(b"number 4111111111111111").decode(),
        b"number 4111111111111111".hex(),
        "卡号4111111111111111。",
        "2223003122003222",
        "371449635398431",
        "3714 496353 98431",
        "30569309025904",
        "6011111111111117",
        "3530111333300000",
        "My card is 4415101282806639538",
        "Charge card 503867297114",
        "Good morning eed39c21. 4111111111111111",  # behind an id that ends in digits
    ],
)
def test_card_is_found_in_every_form_a_reader_understands(text: str) -> None:
    assert kinds(text) == {Kind.PAYMENT_CARD}


IDENTIFIERS = {
    Kind.IBAN: [
        "GB82 WEST 1234 5698 7654 32",
        "DE89370400440532013000",
        "gb82west12345698765432",
        "G B 8 2 W E S T 1 2 3 4 5 6 9 8 7 6 5 4 3 2",
    ],
    Kind.NATIONAL_ID: [
        "078-05-1121",
        "078 - 05 - 1121",
        "social security number 078051121",
        "12345678Z",
        "X9613851N",
        "RSSMRA85T10A562S",
        "131052-308T",
        "S9108268C",
        "AB123456C",
        "AB 12 34 56 C",
        "ABCPD1234Z",
        "11010519491231002X",
        "960121-1234567",
        "529.982.247-25",
        "756.9217.0769.85",
        "2 69 05 49 588 157 80",
        "Steuer-ID 12345678903",
        "Aadhaar 3998 7654 3211",
        "身份证 110105194912310021",
    ],
    Kind.PASSPORT: [
        "passport no. 912803456",
        "Reisepass C01234565",
        "pasaporte AAA123456",
        "护照号 E12345678",
    ],
    Kind.DRIVING_LICENCE: ["MORGA607054SM9IJ", "driver's license D1234567"],
    Kind.BANK_ACCOUNT: [
        "account number 945456787654",
        "routing number 121000358",
        "Kontonummer 1234567890",
    ],
    Kind.MEDICAL_ID: [
        "MRN: 00482917",
        "patient ID 4821-990",
        "1EG4-TE5-MK73",
        "NHS number 221 395 1837",
    ],
    Kind.INSURANCE_ID: [
        "policy number HX-4829104",
        "member ID W123456789",
        "15070649C103",
        "M123456785",
    ],
    Kind.CRYPTO_WALLET: [
        "16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ",
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
    ],
    Kind.EMAIL: [
        "bob.miller@acme.org",
        "bob [at] acme [dot] org",
        "bob(at)acme.org",
        "bob dot miller at acme dot org",
        "ｂｏｂ＠ａｃｍｅ．ｏｒｇ",
        "b\u200bob@acme.org",
    ],
    Kind.PHONE: [
        "+1 (415) 555-2671",
        "415-555-2671",
        "(415) 555-2671",
        "+44 20 7946 0958",
        "020 7946 0958",
        "06 12 34 56 78",
        "+49 170 1234567",
        "0170 1234567",
        "tel. 030/1234567",
        "call 13812345678",
        "手机号13812345678",
        "Phone: 467 3395",
        "Telefono: 60-56-85-91",
    ],
    Kind.IP_ADDRESS: [
        "41.173.96.26",
        "the host at 8.8.4.4",
        "684D:1111:222:3333:4444:5555:6:77",
        "2400:c401::5054:ff:fe1b:b031",
        "::ffff:41.173.96.26",
    ],
    Kind.MAC_ADDRESS: ["MAC address 00:1A:2B:3C:4D:5E"],
    Kind.POSTAL_ADDRESS: [
        "12 Oak Street",
        "1600 Pennsylvania Ave NW",
        "Springfield, IL 62704",
        "Musterstraße 12",
        "12 rue de la Paix",
        "Calle Mayor 5",
        "Via Roma 10",
        "Keizersgracht 123",
        "ul. Marszałkowska 10",
        "Storgatan 5",
        "北京市朝阳区建国路88号",
        "P.O. Box 1234",
        "PSC 5217, Box 4854 APO AP 43617",
    ],
    Kind.BIRTH_DATE: [
        "DOB: 03/14/1985",
        "geboren am 14.03.1985",
        "née le 14 mars 1985",
        "出生日期：1985年3月14日",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in IDENTIFIERS.items() for text in texts])
def test_identifier_is_found_as_its_kind(kind: Kind, text: str) -> None:
    assert kind in kinds(text)


STATEMENTS = {
    Kind.HEALTH_STATEMENT: [
        "Maria Lopez was diagnosed with breast cancer.",
        "Sarah is on sick leave until May.",
        "Herr Müller ist seit Montag krankgeschrieben.",
        "Marie Dupont souffre de diabète.",
        "Juan Pérez padece depresión.",
        "Paolo Rossi è in malattia.",
        "张伟被确诊患有糖尿病",
    ],
    Kind.PAY_STATEMENT: [
        "John Smith's salary is $120,000.",
        "Das Gehalt von Frau Schmidt beträgt 85.000 Euro.",
        "El salario de Carlos Ruiz es de 45.000 euros.",
        "王芳的年薪是50万元",
    ],
    Kind.DISMISSAL_STATEMENT: [
        "We will dismiss John Smith on Friday.",
        "Herr Weber wird fristlos gekündigt.",
        "Marie Dupont a été licenciée hier.",
        "Juan Pérez fue despedido por robo.",
        "Иван Петров уволен вчера.",
        "李娜被公司辞退了",
    ],
    Kind.LEGAL_STATEMENT: [
        "Zorblax Quint has been charged with fraud.",
        "Our colleague Priya is suing her landlord.",
        "Herr Braun wurde wegen Betrugs angeklagt.",
        "刘洋被警方逮捕",
    ],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in STATEMENTS.items() for text in texts])
def test_statement_on_a_named_person_is_found(kind: Kind, text: str) -> None:
    assert kind in kinds(text)


@pytest.mark.parametrize(
    "text",
    [
        "Explain how Deep Learning is used to diagnose cancer.",
        "Janet earns $18 a day. How much does she make in a week?",
        "Who was convicted of murder in 1990?",
        "What is the average salary in Berlin?",
        "The patient has cancer.",
    ],
)
def test_statement_without_a_person_or_as_general_knowledge_is_no_finding(text: str) -> None:
    assert kinds(text) == set()


@pytest.mark.parametrize(
    "text",
    [
        "CONFIDENTIAL",
        "Strictly confidential - do not forward",
        "Keep this confidential.",
        "ATTORNEY-CLIENT PRIVILEGED",
        "This document is covered by our NDA",
        "Draft earnings for the third quarter",
        "C\u200bONFIDENTIAL",
        "C O N F I D E N T I A L",
        "Streng vertraulich",
        "Strictement confidentiel",
        "CONFIDENCIAL",
        "RISERVATO",
        "Strettamente riservato",
        "Strikt vertrouwelijk",
        "Ściśle poufne",
        "Fortroligt",
        "Luottamuksellinen",
        "Přísně důvěrné",
        "Szigorúan bizalmas",
        "Εμπιστευτικό",
        "Строго конфиденциально",
        "绝密文件",
        "社外秘",
        "대외비",
        "Classification: Restricted",
    ],
)
def test_confidentiality_marking_is_found(text: str) -> None:
    assert Kind.CONFIDENTIAL_MARKING in kinds(text)


@pytest.mark.parametrize(
    "text",
    [
        "Internal only",
        "For internal use only",
        "Nur für den internen Gebrauch",
        "Usage interne",
        "Solo para uso interno",
        "Tylko do użytku wewnętrznego",
        "仅供内部使用",
        "Classification: Internal",
    ],
)
def test_internal_marking_is_found(text: str) -> None:
    assert Kind.INTERNAL_MARKING in kinds(text)


@pytest.mark.parametrize(
    "text",
    [
        "What does confidential mean?",
        "This is not confidential.",
        "Explain the attorney-client privilege.",
        "Write an NDA template.",
        "the internal combustion engine",
        "a confidence interval",
    ],
)
def test_talk_about_confidentiality_is_no_marking(text: str) -> None:
    assert kinds(text) == set()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.INTERNAL_HOST, "ssh db01.corp.internal"),
        (Kind.INTERNAL_HOST, "http://wiki.intranet/"),
        (Kind.INTERNAL_ADDRESS, "Our database runs on 10.1.2.3."),
        (Kind.INTERNAL_NAME, "JIRA ticket ABC-1234"),
        (Kind.INTERNAL_NAME, "project codename Falcon"),
    ],
)
def test_names_of_the_own_network_and_work_are_found(kind: Kind, text: str) -> None:
    assert kinds(text) == {kind}


@pytest.mark.parametrize(
    "key",
    [
        "AKIA" + random_text(16, alphabet=BASE32),
        "sk-proj-" + random_text(40),
        "ghp_" + random_text(36, alphabet=HEXADECIMAL),
    ],
)
@pytest.mark.parametrize(
    "disguise",
    [
        lambda key: base64.b64encode(key.encode()).decode(),
        lambda key: base64.urlsafe_b64encode(base64.b64encode(key.encode())).decode(),
        lambda key: key.encode().hex(),
        " ".join,
        lambda key: key[:12] + "\u200b" + key[12:],
        lambda key: "".join(chr(ord(sign) + 0xFEE0) for sign in key),
        lambda key: "".join(f"\\u{ord(sign):04x}" for sign in key),
    ],
    ids=["base64", "base64 twice", "hexadecimal", "spaced", "zero width", "full width", "escaped"],
)  # fmt: skip
def test_disguised_key_is_found(key: str, disguise: object) -> None:
    assert callable(disguise)
    assert DETECTORS.spans(f"Look: {disguise(key)} !")


@pytest.mark.parametrize(("kind", "text"), [*lookalikes(of_each=4, seed=11)])
def test_lookalike_is_no_finding(kind: str, text: str) -> None:
    assert kinds(text) == set(), kind


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.CONFIDENTIAL_MARKING, "TLP:AMBER+STRICT"),
        (Kind.CONFIDENTIAL_MARKING, "VS-NfD"),
        (Kind.CONFIDENTIAL_MARKING, "Bitte nicht weiterleiten."),
        (Kind.CONFIDENTIAL_MARKING, "À ne pas partager"),
        (Kind.CONFIDENTIAL_MARKING, "No compartir fuera de la empresa"),
        (Kind.CONFIDENTIAL_MARKING, "Si prega di non condividere"),
        (Kind.CONFIDENTIAL_MARKING, "Niet voor externe verspreiding"),
        (Kind.CONFIDENTIAL_MARKING, "Nie rozpowszechniać"),
        (Kind.INTERNAL_MARKING, "INTERNAL\n\nThe plan for May"),
        (Kind.INTERNAL_MARKING, "Nur für Mitarbeiter"),
        (Kind.INTERNAL_MARKING, "Tylko dla pracowników"),
        (Kind.NATIONAL_ID, "11.222.333/0001-81"),
        (Kind.NATIONAL_ID, "NIP 526-104-08-28"),
        (Kind.NATIONAL_ID, "EIN 12-3456789"),
    ],
)
def test_markings_and_numbers_of_more_countries_are_found(kind: Kind, text: str) -> None:
    assert kind in kinds(text)


@pytest.mark.parametrize("text", ["11.222.333/0001-82", "internal combustion engines", "INTERNAL COMBUSTION ENGINES"])
def test_what_only_looks_like_them_is_not(text: str) -> None:
    assert kinds(text).isdisjoint({Kind.NATIONAL_ID, Kind.INTERNAL_MARKING})
