import asyncio
import base64
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.models import Finding, Label
from app.services.detectors import DetectionPolicy, Detectors, Field, Kind, Span
from app.services.detectors.normalise import View
from app.services.detectors.scan import resolve

POLICY = Path(__file__).resolve().parents[3] / "policy.toml"
CARD = "4111 1111 1111 1111"
FILLER = "The quick brown fox jumps over the lazy dog. "


@pytest.fixture(scope="module")
def detectors() -> Detectors:
    return Detectors(DetectionPolicy.load(POLICY))


def fields(*texts: str) -> list[Field]:
    return [Field(f"messages[{index}].content", text) for index, text in enumerate(texts)]


def test_finding_names_detector_label_place_and_count_but_holds_no_value(detectors: Detectors) -> None:
    findings = detectors.scan_now(fields("Hello.", f"Pay with {CARD} or 5555 5555 5555 4444."))
    assert findings == (
        Finding(detector="payment_card", label=Label.CONFIDENTIAL, where="messages[1].content", count=2),
    )


def test_harmless_text_has_no_finding(detectors: Detectors) -> None:
    assert detectors.scan_now(fields(FILLER * 50, "What is 12 * 34?")) == ()


def test_no_fields_have_no_finding(detectors: Detectors) -> None:
    assert detectors.scan_now([]) == ()


async def test_async_scan_finds_what_the_plain_one_finds(detectors: Detectors) -> None:
    texts = fields(FILLER * 2000 + f"card {CARD}", "mail bob.miller@acme.org", "password is hunter2x")
    assert await detectors.scan(texts) == detectors.scan_now(texts)


@pytest.mark.parametrize(("length", "fewest"), [(100, 1), (9_000, 10), (30_000, 10), (180_000, 80)])
async def test_scan_gives_way_after_each_look_at_a_long_text(detectors: Detectors, length: int, fewest: int) -> None:
    """A text that is looked at in one piece does not hold up the others for all of its detectors."""
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count_turns())
    await detectors.scan(fields((FILLER * 4000)[:length]))
    counter.cancel()
    assert turns >= fewest


async def test_a_scan_aside_finds_what_the_plain_one_finds(detectors: Detectors) -> None:
    texts = fields(FILLER * 2000 + f"card {CARD}", "mail bob.miller@acme.org", "password is hunter2x")
    assert await detectors.scan_aside(texts) == detectors.scan_now(texts)


async def test_a_scan_aside_leaves_the_event_loop_to_others() -> None:
    """The detector waits for what only another task of the same loop does."""
    turned = threading.Event()
    waited: list[bool] = []

    def wait(view: View) -> Iterator[Span]:
        waited.append(turned.wait(10))
        yield from ()

    detectors = Detectors(DetectionPolicy.load(POLICY), extra=(wait,))
    asyncio.get_running_loop().call_soon(turned.set)
    await detectors.scan_aside(fields("Hello."))
    assert waited == [True]


async def test_a_detector_that_fails_aside_makes_the_text_confidential() -> None:
    def fail(view: View) -> Iterator[Span]:
        raise RuntimeError(view.text)

    detectors = Detectors(DetectionPolicy.load(POLICY), extra=(fail,))
    (finding,) = await detectors.scan_aside(fields("Hello."))
    assert (finding.detector, finding.label) == ("detector_failure", Label.CONFIDENTIAL)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("My card is 4111 11", "11 1111 1111, thanks"),
        ("My card is 4111 1111", "1111 1111, thanks"),
        ("My card is 4111", " 1111 1111 1111"),
        ("The password is", "hunter2x!"),
        ("Write to bob.mil", "ler@acme.org please"),
    ],
)
def test_value_split_over_two_fields_is_found_in_the_second(detectors: Detectors, first: str, second: str) -> None:
    findings = detectors.scan_now(fields(first, second))
    assert [finding.where for finding in findings] == ["messages[1].content"]


def test_card_told_in_two_turns_with_an_answer_between_is_found(detectors: Detectors) -> None:
    findings = detectors.scan_now(fields("It starts with 4111 1111.", "And then?", "The rest is 1111 1111, thanks."))
    assert [(finding.detector, finding.where) for finding in findings] == [("payment_card", "messages[2].content")]


@pytest.mark.parametrize("shift", range(4))
def test_value_deep_inside_a_long_encoding_is_found(detectors: Detectors, shift: int) -> None:
    encoded = base64.b64encode(f"{FILLER * 1500}{CARD}. {FILLER * 1500}".encode()).decode()
    findings = detectors.scan_now(fields("x" * shift + " " + encoded))
    assert [finding.detector for finding in findings] == ["payment_card"]


def test_key_split_over_many_small_fields_is_found(detectors: Detectors) -> None:
    key = "sk-proj-" + "aB3dE5gH7j" * 4
    pieces = [key[start : start + 6] for start in range(0, len(key), 6)]
    assert any(finding.detector == "provider_key" for finding in detectors.scan_now(fields(*pieces)))


@pytest.mark.parametrize("position", [0, 27_000, 28_100, 32_760, 60_000])
def test_value_at_any_border_of_pieces_is_found_once(detectors: Detectors, position: int) -> None:
    text = FILLER * 3000
    text = f"{text[:position]} {CARD} {text[position:]}"
    spans = detectors.spans(text)
    assert [(span.kind, text[span.start : span.end]) for span in spans] == [(Kind.PAYMENT_CARD, CARD)]


def test_text_above_the_limit_is_confidential_without_being_read() -> None:
    detectors = Detectors(DetectionPolicy(labels={}, max_characters=10))
    assert detectors.scan_now(fields("four", "characters")) == (
        Finding(detector="uninspected", label=Label.CONFIDENTIAL, where="messages[0].content"),
    )


async def test_failing_detector_makes_the_request_confidential_and_its_text_stays_inside(
    detectors: Detectors,
) -> None:
    def fail(_: object) -> Iterator[Span]:
        raise RuntimeError("secret words")

    broken = Detectors(DetectionPolicy.load(POLICY), extra=(fail,))
    expected = (Finding(detector="detector_failure", label=Label.CONFIDENTIAL, where="messages[0].content"),)
    assert broken.scan_now(fields("Hello.")) == expected
    assert await broken.scan(fields("Hello.")) == expected


def test_text_full_of_findings_is_read_until_nothing_can_raise_its_label(detectors: Detectors) -> None:
    (finding,) = detectors.scan_now(fields(f"{CARD}\n\n" * 20_000))
    assert finding.label is Label.CONFIDENTIAL
    assert 1_000 < finding.count < 20_000


def test_policy_cannot_lower_what_was_not_inspected() -> None:
    policy = DetectionPolicy(labels={"uninspected": Label.PUBLIC}, max_characters=1)
    (finding,) = Detectors(policy).scan_now(fields("Hello."))
    assert finding.label is Label.CONFIDENTIAL


def test_kind_with_label_public_is_left_out() -> None:
    policy = DetectionPolicy(labels={"payment_card": Label.PUBLIC, "email": Label.INTERNAL})
    findings = Detectors(policy).scan_now(fields(f"{CARD} bob.miller@acme.org"))
    assert [(finding.detector, finding.label) for finding in findings] == [("email", Label.INTERNAL)]


def test_ignored_values_are_no_finding() -> None:
    policy = DetectionPolicy(labels={}, ignore=frozenset({"help@acme.org"}))
    findings = Detectors(policy).scan_now(fields("Help@acme.org and bob.miller@acme.org"))
    assert [finding.count for finding in findings] == [1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Card 4111\u200b1111\u200b1111\u200b1111.", "4111\u200b1111\u200b1111\u200b1111"),
        ("Karte: ４１１１ １１１１ １１１１ １１１１!", "４１１１ １１１１ １１１１ １１１１"),
        ("😀 naïve bob.miller@acme.org", "bob.miller@acme.org"),
        (r"a\nb card \u0034111111111111111", r"\u0034111111111111111"),
    ],
)
def test_spans_are_positions_in_the_original_text(detectors: Detectors, text: str, value: str) -> None:
    (span,) = detectors.spans(text)
    assert text[span.start : span.end] == value


def test_span_of_an_encoded_key_is_its_whole_encoding(detectors: Detectors) -> None:
    encoded = base64.b64encode(b"sk-proj-" + b"aB3dE5gH7j" * 4).decode()
    text = f"Use {encoded} today."
    (span,) = detectors.spans(text)
    assert text[span.start : span.end] == encoded


def test_of_overlapping_spans_the_more_telling_kind_is_kept() -> None:
    card, phone, mail = Span(Kind.PAYMENT_CARD, 5, 20), Span(Kind.PHONE, 0, 30), Span(Kind.EMAIL, 20, 25)
    assert resolve([phone, mail, card, card]) == (card, mail)


HOSTILE = {
    "one letter": "a",
    "digits": "4111111111111112",
    "spaced digits": "1 ",
    "pairs": "41 ",
    "at signs": "@",
    "half addresses": "a@a.",
    "card words": "card 4111 1111 1111 1112 ",
    "passwords": "password=",
    "armour": "-----BEGIN PRIVATE KEY-----\n",
    "escapes": r"\n",
    "colons": "1:2:",
    "versions": "version 1.2.3.4 ",
    "salaries": "salary $5 ",
    "zero width": "a\u200b",
    "names and illness": "John Smith diagnosed with ",
    "spaced letters": "a b c ",
    "quoted": 'password="',
    "brackets": "(",
    "titles": "Mr Mr ",
}


def cpu_seconds(detectors: Detectors, text: str) -> float:
    start = time.process_time()
    detectors.scan_now(fields(text))
    return time.process_time() - start


@pytest.mark.no_cover  # the coverage tool makes these lines two to three times as slow as they are
@pytest.mark.parametrize("pattern", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_takes_linear_time(detectors: Detectors, pattern: str) -> None:
    """A quarter of a megabyte may take half a second of CPU, which leaves room for a busy machine."""
    text = (pattern * 250_000)[:250_000]
    assert min(cpu_seconds(detectors, text) for _ in range(3)) < 1.0
