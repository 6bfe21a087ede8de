import json
import time
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.models import Complexity, ImagePart, Message
from app.services.complexity import (
    HEAD_CHARACTERS,
    LEXICON_PATH,
    TAIL_CHARACTERS,
    WEIGHTS_PATH,
    ComplexityClassifier,
    Thresholds,
    load_lexicon,
    tier,
)
from app.services.complexity_features import FEATURES, STEM_KEY, Lexicon, features
from scripts.train_complexity import ANCHORS_PATH, BELIEFS, read_anchors, train, write_weights

THRESHOLDS = Thresholds(moderate=0.4, complex=0.62)
CLASSIFIER = ComplexityClassifier.load()
LEXICON = load_lexicon()

HARD = "Design a distributed lock service, prove that it is safe under clock skew and analyse its failure modes."
OPTIONS = "Which statement on {} is right?\nA. the first\nB. the second\nC. the third\nD. the fourth\nAnswer:"


def score(*turns: str) -> float:
    """The score of a conversation in which the user says these turns and is answered in between."""
    messages = [message for turn in turns for message in (Message.of("user", turn), Message.of("assistant", "Sure."))]
    return CLASSIFIER.score(messages[:-1])


def judge(text: str) -> Complexity:
    return tier(score(text), thresholds=THRESHOLDS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is Python?", Complexity.SIMPLE),
        ("hello, how are you?", Complexity.SIMPLE),
        ("Who painted the ceiling of the Sistine Chapel?", Complexity.SIMPLE),
        ("¿Cuántos habitantes tiene Chile?", Complexity.SIMPLE),
        ("今日の天気は？", Complexity.SIMPLE),
        ("Какая сегодня погода?", Complexity.SIMPLE),
        ("Write a function that returns the longest word of a sentence.", Complexity.MODERATE),
        ("Nina buys 4 boxes of 12 eggs and uses half of them. How many eggs are left?", Complexity.MODERATE),
        ("Write a short thank-you letter to my neighbour.", Complexity.MODERATE),
        ("Spiega la fotosintesi a un bambino di dieci anni.", Complexity.MODERATE),
        (
            "Write a distributed lock service design with failure analysis: leases, fencing tokens, partitions.",
            Complexity.COMPLEX,
        ),
        ("Prove that the set of discontinuities of a monotone function is countable.", Complexity.COMPLEX),
        (
            "Ontwerp een gedistribueerd betalingssysteem en analyseer de faalscenario's.",
            Complexity.COMPLEX,
        ),
        ("このSQLクエリを最適化し、実行計画を分析してください", Complexity.COMPLEX),
    ],
)
def test_prompts_whose_difficulty_is_plain_get_their_tier(text: str, expected: Complexity) -> None:
    """Questions of fact are simple, small tasks moderate, proofs and open technical work complex, in any language."""
    assert judge(text) is expected


def test_hardly_any_complex_anchor_is_called_simple() -> None:
    """Of the complex prompts that the repository carries, at most one in ten is sent to a weak model."""
    complex_prompts = [prompt.text for prompt in read_anchors() if prompt.tier is Complexity.COMPLEX]
    called_simple = [text for text in complex_prompts if judge(text) is Complexity.SIMPLE]
    assert len(called_simple) <= len(complex_prompts) / 10, called_simple


def test_most_anchors_get_their_tier() -> None:
    """The weights and the lexicon in the repository belong together: seven anchors in ten are told right."""
    anchors = read_anchors()
    right = sum(judge(prompt.text) is prompt.tier for prompt in anchors)
    assert right >= 0.7 * len(anchors)


def test_score_grows_with_every_demand_added() -> None:
    """More is asked for, so the score rises, and it stays between 0 and 1."""
    demands = [
        "Write a parser.",
        " It must stream its input and recover from syntax errors.",
        " Prove that it runs in linear time.",
        " Compare it with a Pratt parser, and list the trade-offs in a table.",
    ]
    scores = [score("".join(demands[:count])) for count in range(1, len(demands) + 1)]
    assert scores == sorted(set(scores))
    assert scores[0] > 0
    assert scores[-1] < 1


def test_among_questions_with_options_only_the_size_counts() -> None:
    """The subject of a multiple-choice question does not move the score, its length does."""
    assert score(OPTIONS.format("quantum topology")) == score(OPTIONS.format("garden flowers"))
    assert score("A long tale. " * 20 + OPTIONS.format("it")) > score(OPTIONS.format("it"))


def test_short_follow_up_takes_part_of_what_it_follows() -> None:
    """`Now in Rust` after a hard task is harder than alone, and easier than the task."""
    assert score("Now in Rust") < score(HARD, "Now in Rust") < score(HARD)


def test_chain_of_follow_ups_reaches_back_to_the_task() -> None:
    """Two short turns in a row still follow the task before them."""
    assert score(HARD, "why?", "go on") == score(HARD, "go on")


def test_full_question_stands_by_itself() -> None:
    """A turn that is long enough to be understood alone is judged alone."""
    question = (
        "In which year did the expedition that first reached the South Pole set out from Norway, and with which ship?"
    )
    assert score(HARD, question) == score(question)


def test_only_the_user_is_judged() -> None:
    """Neither an application's system prompt nor a model's answer moves the score."""
    user = Message.of("user", "Who wrote Faust?")
    around = [Message.of("system", HARD), Message.of("assistant", HARD), user]
    assert CLASSIFIER.score(around) == CLASSIFIER.score([user])


@pytest.mark.parametrize("messages", [[], [Message.of("system", HARD)]])
def test_conversation_without_a_user_turn_scores_nothing(messages: list[Message]) -> None:
    assert CLASSIFIER.score(messages) == 0


def test_turn_without_text_is_simple() -> None:
    """An image alone has nothing to read a task from."""
    message = Message(role="user", parts=(ImagePart(url="https://example.com/cat.png"),))
    assert tier(CLASSIFIER.score([message]), thresholds=THRESHOLDS) is Complexity.SIMPLE


def test_middle_of_a_very_long_prompt_is_not_read() -> None:
    """Head and tail decide, so time is bounded whatever is pasted between them."""
    head, tail = "word " * (HEAD_CHARACTERS // 5), " word" * (TAIL_CHARACTERS // 5)
    assert score(head + HARD * 50 + tail) == score(head + "nothing " * 5_000 + tail)
    assert score(HARD + "nothing " * 5_000) > score("nothing " * 5_000)


@pytest.mark.parametrize(
    "unit",
    ["\n", " ", "\t\n", "def :", "def ", "write a ", "1.", "\n1. x", "\na) ", "\\", "a'b", "```", "\u3042", "how "],
)
def test_no_repeated_pattern_makes_reading_slow(unit: str) -> None:
    """Text made to provoke backtracking costs milliseconds, not seconds."""
    text = unit * 5_000
    start = time.process_time()
    score(text)
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize("text", ["", HARD, OPTIONS, "def f(x):\n    return x", "為什麼？", "\ud800", "a" * 10_000])
def test_every_feature_has_a_value_between_zero_and_one(text: str) -> None:
    values = features(text, lexicon=LEXICON)
    assert set(values) == set(FEATURES)
    assert all(0 <= value <= 1 for value in values.values())


def test_lexicon_finds_words_stems_and_phrases() -> None:
    """Each entry counts once, however often it stands there; a word's own entry hides the stems it begins with."""
    lexicon = Lexicon({"proof": ["prov*", "q e d", "証明"], "place": ["province"]})
    text = "proving and proving, q e d, in the province: 証明"
    assert lexicon.count(text, words=["proving", "and", "proving", "province"]) == {"proof": 3, "place": 1}


def test_lexicon_entries_can_be_found() -> None:
    """Text is lower-cased before the look-up and stems are keyed by four letters, so the entries must fit both."""
    entries = [entry for entries in json.loads(LEXICON_PATH.read_text(encoding="utf-8")).values() for entry in entries]
    assert [entry for entry in entries if entry != entry.lower()] == []
    assert [entry for entry in entries if entry.endswith("*") and len(entry) <= STEM_KEY] == []


def test_empty_lexicon_finds_nothing() -> None:
    assert not Lexicon({}).count("ありがとう thanks", words=["thanks"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, "simple"), (0.399, "simple"), (0.4, "moderate"), (0.619, "moderate"), (0.62, "complex"), (1.0, "complex")],
)
def test_tier_begins_at_its_threshold(value: float, expected: str) -> None:
    assert tier(value, thresholds=THRESHOLDS) == expected


@pytest.mark.parametrize(("moderate", "complex_"), [(0.7, 0.6), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5)])
def test_thresholds_out_of_order_are_refused(moderate: float, complex_: float) -> None:
    with pytest.raises(ConfigurationError):
        Thresholds(moderate=moderate, complex=complex_)


def test_weights_for_other_features_are_refused(tmp_path: Path) -> None:
    """A weights file of another version fails at start, not with wrong scores."""
    content = json.loads(WEIGHTS_PATH.read_text(encoding="utf-8"))
    del content["stages"]["complex"]["weights"]["words"]
    path = tmp_path / "weights.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ConfigurationError):
        ComplexityClassifier.load(path)


def test_trained_weights_push_only_where_their_meaning_points(tmp_path: Path) -> None:
    """Training on the anchors keeps every sign, and what it writes scores like what it made."""
    trained = train(read_anchors(), lexicon=LEXICON)
    for stage, model in (("not_simple", trained.not_simple), ("complex", trained.complex)):
        directions = {name: belief.direction for name, belief in BELIEFS[stage].items()}
        assert all(weight * directions.get(name, 1) >= 0 for name, weight in model.weights.items())
    write_weights(trained, sources=["anchors"], path=tmp_path / "weights.json")
    loaded = ComplexityClassifier.load(tmp_path / "weights.json")
    assert loaded.score_text(HARD) == pytest.approx(trained.score_text(HARD), abs=1e-3)


def test_anchors_cover_each_tier_evenly() -> None:
    """No tier has more than half again as many anchors as another, and no anchor stands twice."""
    anchors = read_anchors()
    sizes = [sum(prompt.tier is tier_ for prompt in anchors) for tier_ in Complexity]
    assert max(sizes) <= 1.5 * min(sizes)
    assert len({prompt.text for prompt in anchors}) == len(anchors), ANCHORS_PATH
