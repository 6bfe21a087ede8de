"""Values that look sensitive and are not, made at run time: each must raise no finding."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator

Maker = Callable[[random.Random], str]


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choices("0123456789", k=count))


def _hexadecimal(rng: random.Random, count: int) -> str:
    return "".join(rng.choices("0123456789abcdef", k=count))


def _ean13(rng: random.Random, prefix: str = "") -> str:
    body = prefix + _digits(rng, 12 - len(prefix))
    total = sum(int(digit) * (3 if index % 2 else 1) for index, digit in enumerate(body))
    return f"{body}{-total % 10}"


def _isbn10(rng: random.Random) -> str:
    body = _digits(rng, 9)
    check = sum((index + 1) * int(digit) for index, digit in enumerate(body)) % 11
    return f"{body[0]}-{body[1:5]}-{body[5:]}-{'0123456789X'[check]}"


def _version(rng: random.Random) -> str:
    return ".".join(str(rng.randrange(limit)) for limit in (20, 40, 200, 255))


_MAKERS: dict[str, tuple[str, Maker]] = {
    "version": ("Upgrade to version {} before Friday.", _version),
    "product version": ("The crash appears in Chrome/{} only.", _version),
    "package version": ("Pin it as package=={} in the lock file.", _version),
    "loopback": (
        "The service listens on {} by default.",
        lambda rng: f"127.0.{rng.randrange(3)}.{rng.randrange(1, 255)}",
    ),
    "loopback v6": ("curl http://[{}]:8080/ready", lambda _: "::1"),
    "private address": (
        "Set the address to {} in the example.",
        lambda rng: f"192.168.{rng.randrange(255)}.{rng.randrange(255)}",
    ),
    "private address, 10/8": (
        "route add 10.0.0.0/8 via {}",
        lambda rng: f"10.{rng.randrange(255)}.{rng.randrange(255)}.1",
    ),
    "documentation address": ("An example host is {}.", lambda rng: f"203.0.113.{rng.randrange(255)}"),
    "documentation address v6": ("An example host is {}.", lambda rng: f"2001:db8::{rng.randrange(1, 9999):x}"),
    "EAN-13": ("Barcode {} is printed on the box.", _ean13),
    "EAN-13 alone": ("{}", lambda rng: _ean13(rng, "4")),
    "ISBN-13": ("See ISBN 978-{} for details.", lambda rng: _ean13(rng, "978")[3:]),
    "ISBN-10": ("See ISBN {} for details.", _isbn10),
    "order number": ("Your order {} has been shipped.", lambda rng: _digits(rng, 12)),
    "order number, 16 digits": ("Order no. {} is ready.", lambda rng: _digits(rng, 16)),
    "order code": ("Order {} was cancelled.", lambda rng: f"{_digits(rng, 3)}-{_digits(rng, 7)}-{_digits(rng, 7)}"),
    "tracking number": ("Tracking number: {}", lambda rng: f"1Z{rng.choice('ABCDEFGHW')}{_digits(rng, 15)}"),
    "tracking number, digits": ("Track your parcel {} online.", lambda rng: _digits(rng, 20)),
    "invoice number": ("Invoice {} is due.", lambda rng: f"INV-{_digits(rng, 8)}"),
    "MD5": ("md5: {}", lambda rng: _hexadecimal(rng, 32)),
    "SHA-256": ("The checksum is {}.", lambda rng: _hexadecimal(rng, 64)),
    "git commit": ("Fixed in commit {}.", lambda rng: _hexadecimal(rng, 40)),
    "short commit": ("Fixed in {}.", lambda rng: _hexadecimal(rng, 10)),
    "UUID": ("The request id is {}.", lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4))),
    "DNA": ("The primer is {}.", lambda rng: "".join(rng.choices("ACGT", k=30))),
    "protein": (">sp|P1|X\n{}", lambda rng: "".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=60))),
    "placeholder key": (
        "api_key = '{}'",
        lambda rng: rng.choice(["YOUR_API_KEY", "<your-api-key>", "xxxxxxxxxxxxxxxx", "${API_KEY}"]),
    ),
    "placeholder password": (
        "password: {}",
        lambda rng: rng.choice(["<password>", "********", "changeme", "$DB_PASSWORD", "your_password"]),
    ),
    "example mail": (
        "Write to {}.",
        lambda rng: f"user{rng.randrange(99)}@example.{rng.choice(['com', 'org', 'net'])}",
    ),
    "reserved phone": ("Call {} in the film.", lambda rng: f"({rng.randrange(201, 989)}) 555-01{_digits(rng, 2)}"),
    "coordinates": ("The peak is at {}.", lambda rng: f"{rng.uniform(-90, 90):.6f}, {rng.uniform(-180, 180):.6f}"),
    "time stamp": ("Logged at {}.", lambda rng: str(rng.randrange(1_500_000_000, 1_900_000_000))),
    "time stamp, milliseconds": ("ts={}", lambda rng: str(rng.randrange(1_500_000_000_000, 1_900_000_000_000))),
    "date and time": (
        "Started 2024-0{}.",
        lambda rng: f"{rng.randrange(1, 9)}-1{rng.randrange(9)} 1{rng.randrange(9)}:{rng.randrange(10, 59)}:00",
    ),
    "amount": (
        "Revenue was ${} last year.",
        lambda rng: f"{rng.randrange(1, 999)},{_digits(rng, 3)},{_digits(rng, 3)}.{_digits(rng, 2)}",
    ),
    "decimal": ("pi is about 3.{}", lambda rng: _digits(rng, 16)),
    "DOI": ("doi:10.{}", lambda rng: f"{_digits(rng, 4)}/s{_digits(rng, 5)}-{_digits(rng, 3)}-{_digits(rng, 5)}-1"),
    "arXiv": ("arXiv:{}", lambda rng: f"2{rng.randrange(10, 40)}{rng.randrange(1, 9)}.{_digits(rng, 5)}"),
    "serial number": ("Serial number {}", lambda rng: f"SN-{_digits(rng, 4)}-{_digits(rng, 4)}"),
    "part number": (
        "Part {} is out of stock.",
        lambda rng: f"{rng.choice('ABCDEFG')}{_digits(rng, 3)}-{_digits(rng, 5)}",
    ),
    "HTTP range": ("Content-Range: bytes 0-{}", lambda rng: f"{_digits(rng, 6)}/{_digits(rng, 7)}"),
    "base64 of bytes": (
        "The image is {}",
        lambda rng: "iVBORw0KGgo" + "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij0123456789", k=60)),
    ),
}


def lookalikes(*, of_each: int, seed: int) -> Iterator[tuple[str, str]]:
    """Kind and text of each look-alike, the same for the same seed."""
    rng = random.Random(seed)
    for kind, (template, make) in _MAKERS.items():
        for _ in range(of_each):
            yield kind, template.format(make(rng))
