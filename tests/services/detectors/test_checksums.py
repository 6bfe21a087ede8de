import pytest

from app.services.detectors import checksums


@pytest.mark.parametrize("digits", ["79927398713", "4111111111111111", "5555555555554444"])
def test_luhn_holds_for_published_numbers_and_fails_when_a_digit_changes(digits: str) -> None:
    assert checksums.luhn(digits)
    changed = digits[:-1] + str((int(digits[-1]) + 1) % 10)
    assert not checksums.luhn(changed)


def test_ean_holds_for_a_published_barcode() -> None:
    assert checksums.ean("4006381333931")
    assert not checksums.ean("4006381333932")


def test_verhoeff_holds_for_the_published_example() -> None:
    assert checksums.verhoeff("2363")
    assert not checksums.verhoeff("2364")


def test_mod97_of_the_registry_example_is_one() -> None:
    assert checksums.mod97("WEST12345698765432GB82") == 1


def test_icao_check_digit_of_the_published_passport_is_six() -> None:
    assert checksums.icao("L898902C3") == 6


def test_base58check_holds_for_the_first_address_ever_used() -> None:
    assert checksums.base58check("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa")
    assert not checksums.base58check("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb")


@pytest.mark.parametrize(
    "data", ["qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"]
)
def test_bech32_holds_for_the_examples_of_its_specifications(data: str) -> None:
    assert checksums.bech32("bc", data)
    assert not checksums.bech32("bc", data[:-1] + "q")


def test_date_that_does_not_exist_is_none() -> None:
    assert checksums.is_date(year=2024, month=2, day=29)
    assert not checksums.is_date(year=2023, month=2, day=29)
