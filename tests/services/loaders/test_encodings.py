import pytest

from app.services.loaders.encodings import clean, decode

ENGLISH = "Plain words, “quoted” — and a price of 15 €."
SAMPLES = [
    ("cp1252", "Le président a déclaré que la réunion était reportée à février."),
    ("cp1250", "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw."),
    ("cp1251", "Все люди рождаются свободными и равными в своём достоинстве и правах."),
    ("koi8-r", "Все люди рождаются свободными и равными в своём достоинстве и правах."),
    ("cp1253", "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα."),
    ("cp1255", "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם."),
    ("cp1256", "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق."),
    ("cp874", "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ"),
    ("shift_jis", "すべての人間は、生まれながらにして自由である。"),
    ("euc-jp", "すべての人間は、生まれながらにして自由である。"),
    ("gb18030", "人人生而自由,在尊严和权利上一律平等。"),
    ("big5", "人人生而自由,在尊嚴和權利上一律平等。"),
    ("euc-kr", "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다."),
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_unicode_is_read_with_and_without_a_mark(encoding: str) -> None:
    """Every Unicode encoding gives the same text, and no doubt about it."""
    text, warnings = decode(ENGLISH.encode(encoding))
    assert clean(text) == ENGLISH
    assert warnings == ()


@pytest.mark.parametrize(("encoding", "text"), SAMPLES)
def test_legacy_encodings_are_recognised(encoding: str, text: str) -> None:
    """One sentence is enough to tell the encoding; that it was a guess is said."""
    decoded, warnings = decode(text.encode(encoding))
    assert decoded == text
    assert [warning.partition(":")[0] for warning in warnings] == ["encoding_guessed"]


def test_the_bytes_that_tell_may_stand_at_the_end_of_a_long_text() -> None:
    """A guess is made from the first passage that is not ASCII, however far in it stands."""
    text = "Nothing but plain words here.\n" * 10_000 + "Señor, mañana habrá una reunión en España."
    assert decode(text.encode("cp1252"))[0] == text


def test_a_damaged_byte_does_not_turn_utf8_into_something_else() -> None:
    """Text in UTF-8 with a broken sequence stays UTF-8, with a mark in the place and a warning."""
    assert decode("Größe: ".encode() + b"\xff" + " größer".encode()) == (
        "Größe: \ufffd größer",
        ("invalid_bytes_replaced",),
    )


def test_what_a_document_declares_is_obeyed_unless_it_is_utf8_after_all() -> None:
    """A declared encoding is used where the bytes do not contradict it."""
    assert decode("Żółć".encode("iso-8859-2"), declared="iso-8859-2")[0] == "Żółć"
    assert decode("Żółć".encode(), declared="iso-8859-2")[0] == "Żółć"
    assert decode("Überschuß".encode("cp1252"), declared="no-such-encoding")[0] == "Überschuß"


def test_an_encoding_of_bytes_to_bytes_is_not_taken_for_one_of_text() -> None:
    """A page that declares a compression as its encoding does not have it run."""
    assert decode(b"caf\xe9 au lait, tr\xe8s bon", declared="zlib_codec")[0] == "café au lait, très bon"


def test_clean_text_has_one_kind_of_line_break_and_nothing_unprintable() -> None:
    """Line breaks, blank lines, control characters, soft hyphens and half characters come out in one form."""
    assert clean("a\r\nb\rc\u2028d") == "a\nb\nc\nd"
    assert clean("a  \n\n\n\nb") == "a\n\nb"
    assert clean("\ufeffhy\u00adphen\x00\ud800 e\u0301") == "hyphen é"


def test_cleaning_takes_linear_time() -> None:
    """Ten million blanks are cleaned in an instant; a quadratic pattern would not end within the test's time limit."""
    assert clean("a" + " " * 10_000_000 + "b\n") == "a" + " " * 10_000_000 + "b"
