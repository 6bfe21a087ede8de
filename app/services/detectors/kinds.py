"""The kinds of finding that the built-in detectors know, and the span in which one is found."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.StrEnum):
    """What a detector found. The values are the names in `policy.toml` and in the explanation of a route."""

    # Secrets
    PRIVATE_KEY = "private_key"
    PROVIDER_KEY = "provider_key"
    TOKEN = "token"  # noqa: S105 - a name of a kind, not a token
    PASSWORD = "password"  # noqa: S105 - a name of a kind, not a password
    CONNECTION_STRING = "connection_string"
    HIGH_ENTROPY = "high_entropy"

    # Personal identifiers
    PAYMENT_CARD = "payment_card"
    IBAN = "iban"
    BANK_ACCOUNT = "bank_account"
    CRYPTO_WALLET = "crypto_wallet"
    NATIONAL_ID = "national_id"
    PASSPORT = "passport"
    DRIVING_LICENCE = "driving_licence"
    MEDICAL_ID = "medical_id"
    INSURANCE_ID = "insurance_id"
    EMAIL = "email"
    PHONE = "phone"
    IP_ADDRESS = "ip_address"
    MAC_ADDRESS = "mac_address"
    POSTAL_ADDRESS = "postal_address"
    BIRTH_DATE = "birth_date"

    # Statements on a named person
    HEALTH_STATEMENT = "health_statement"
    PAY_STATEMENT = "pay_statement"
    DISMISSAL_STATEMENT = "dismissal_statement"
    LEGAL_STATEMENT = "legal_statement"

    # Markings and names of the organisation
    CONFIDENTIAL_MARKING = "confidential_marking"
    INTERNAL_MARKING = "internal_marking"
    INTERNAL_HOST = "internal_host"
    INTERNAL_ADDRESS = "internal_address"
    INTERNAL_NAME = "internal_name"


# Text that was not looked at, and a detector that broke. No policy can give these another label than confidential.
UNINSPECTED = "uninspected"
DETECTOR_FAILURE = "detector_failure"


@dataclass(frozen=True, slots=True)
class Span:
    """A found value: characters `start` up to, not including, `end` of a text. `kind` is a `Kind` or an own name."""

    kind: str
    start: int
    end: int
