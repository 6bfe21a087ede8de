"""The address of a DynamoDB table, `dynamodb://TABLE?region=...&endpoint=...`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

SCHEME = "dynamodb"
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_REGION = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamoAddress:
    """A table, the region it is in, and the server to ask where that is not AWS's public one."""

    table: str
    region: str
    endpoint: str | None

    @classmethod
    def parse(cls, url: str) -> DynamoAddress:
        """Read a URL; raises `ValueError` if it is not of this form."""
        split = urlsplit(url)
        options = dict(parse_qsl(split.query, strict_parsing=True)) if split.query else {}
        region, endpoint = options.pop("region", ""), options.pop("endpoint", None)
        well_formed = split.scheme == SCHEME and _TABLE.fullmatch(split.netloc) and split.path in ("", "/")
        if not well_formed or options or not _REGION.fullmatch(region):
            raise ValueError
        if endpoint is not None and urlsplit(endpoint).scheme not in ("http", "https"):
            raise ValueError
        return cls(table=split.netloc, region=region, endpoint=endpoint)

    @property
    def server(self) -> str:
        """The URL of the server that is asked."""
        return self.endpoint or f"https://dynamodb.{self.region}.amazonaws.com"


def is_dynamo(url: str) -> bool:
    return url.startswith(f"{SCHEME}:")
