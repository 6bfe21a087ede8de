from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.models import Label
from app.services.detectors import DetectionPolicy, Detectors, Field, Kind
from app.services.detectors.policy import repeats_a_repeat

SHIPPED = Path(__file__).resolve().parents[3] / "policy.toml"


def policy(tmp_path: Path, text: str) -> DetectionPolicy:
    path = tmp_path / "policy.toml"
    path.write_text(text, "utf-8")
    return DetectionPolicy.load(path)


def test_shipped_policy_states_a_label_for_every_kind() -> None:
    text = SHIPPED.read_text("utf-8")
    assert [kind for kind in Kind if f"\n{kind.value} = " not in text] == []


def test_shipped_policy_takes_secrets_and_persons_as_confidential_and_the_own_network_as_internal() -> None:
    labels = DetectionPolicy.load(SHIPPED).labels
    internal = {Kind.INTERNAL_MARKING, Kind.INTERNAL_HOST, Kind.INTERNAL_ADDRESS, Kind.INTERNAL_NAME}
    assert {kind for kind in Kind if labels[kind] is Label.INTERNAL} == internal
    assert {kind for kind in Kind if labels[kind] is Label.CONFIDENTIAL} == set(Kind) - internal


def test_kind_that_is_left_out_is_confidential(tmp_path: Path) -> None:
    assert policy(tmp_path, "[detection.labels]\nemail = 'public'").labels["phone"] is Label.CONFIDENTIAL


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[detection.labels]\nemial = 'public'", "unknown key `emial`"),
        ("[detection.labels]\nemail = 'secret'", "must be public, internal or confidential"),
        ("[detection.labels]\nemail = 3", "must be a text"),
        ("[detection]\nlimit = 3", "unknown key `limit`"),
        ("[detection]\nmax_characters = 0", "must be a positive number"),
        ("[detection]\nown_networks = ['10.0.0.0/33']", "is not a network"),
        ("[detection]\nown_domains = ['a b']", "is not a domain"),
        ("[detection]\nignore = 'x'", "must be a list of texts"),
        ("[[detection.patterns]]\nname = 'x'\npattern = '('\nlabel = 'public'", "is not a regular expression"),
        ("[[detection.patterns]]\nname = 'x'\npattern = 'a*'\nlabel = 'public'", "matches an empty text"),
        ("[[detection.patterns]]\nname = 'x'\npattern = '(a+)+b'\nlabel = 'public'", "exponential time"),
        ("[[detection.patterns]]\nname = 'email'\npattern = 'a'\nlabel = 'public'", "is taken"),
        ("[[detection.patterns]]\nname = 'X'\npattern = 'a'\nlabel = 'public'", "lower-case letters"),
        ("[[detection.patterns]]\nname = 'x'\npattern = 'a'", "`label` must be a text"),
        ("[[detection.dictionaries]]\nname = 'x'\nwords = []\nlabel = 'public'", "is empty"),
        ("[[detection.dictionaries]]\nname = 'uninspected'\nwords = ['a']\nlabel = 'public'", "is taken"),
        ("detection = 3", "must be a table"),
        ("[detection", "is not valid TOML"),
    ],
)
def test_faulty_policy_is_refused_with_its_fault(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=r"policy\.toml") as refusal:
        policy(tmp_path, text)
    assert fault in str(refusal.value)


def test_missing_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        DetectionPolicy.load(tmp_path / "none.toml")


def test_other_tables_of_the_file_are_left_to_others(tmp_path: Path) -> None:
    assert policy(tmp_path, "[complexity]\nmoderate = 0.4").labels["email"] is Label.CONFIDENTIAL


def test_fingerprint_follows_the_meaning_and_not_the_spelling(tmp_path: Path) -> None:
    one = policy(tmp_path, "[detection.labels]\nemail = 'public'\nphone = 'internal'").fingerprint
    same = policy(tmp_path, "# words\n[detection]\nlabels = { phone = 'internal', email = 'public' }").fingerprint
    other = policy(tmp_path, "[detection.labels]\nemail = 'public'").fingerprint
    assert one == same != other
    assert len(one) == 64


def test_own_patterns_and_dictionaries_are_found_under_their_names(tmp_path: Path) -> None:
    own = policy(
        tmp_path,
        """
        [[detection.patterns]]
        name = "employee_number"
        pattern = 'EMP-\\d{6}'
        label = "internal"
        [[detection.dictionaries]]
        name = "customers"
        words = ["Société Rocket", "Initech"]
        label = "confidential"
        """,
    )
    findings = Detectors(own).scan_now(
        [Field("messages[0].content", "EMP-004211 works for SOCIETE  rocket, not Initechs.")]
    )
    assert {(finding.detector, finding.label) for finding in findings} == {
        ("employee_number", Label.INTERNAL),
        ("customers", Label.CONFIDENTIAL),
    }


def test_own_networks_and_domains_are_internal(tmp_path: Path) -> None:
    own = policy(tmp_path, "[detection]\nown_networks = ['41.173.0.0/16']\nown_domains = ['acme.org']")
    findings = Detectors(own).scan_now([Field("messages[0].content", "41.173.96.26 is build.acme.org")])
    assert {finding.detector for finding in findings} == {"internal_address", "internal_host"}


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|aa)+", "((ab)*c)*", "(?:x{2,})*", "(a*){12}"])
def test_pattern_that_can_take_exponential_time_is_recognised(pattern: str) -> None:
    assert repeats_a_repeat(pattern)


@pytest.mark.parametrize(
    "pattern", [r"EMP-\d{6}", "(abc)+", "a+b+", r"[(a+)+]x", r"(?:a|b)c*", r"\(a+\)+", "(a{2,3}){2}"]
)
def test_pattern_in_linear_time_is_let_through(pattern: str) -> None:
    assert not repeats_a_repeat(pattern)
