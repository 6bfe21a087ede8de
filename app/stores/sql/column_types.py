"""Column types that both engines store alike: instants, labels, texts of documents."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Integer,
    SmallInteger,
    Text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from app.models import Label

# PostgreSQL orders and compares text by locale unless told otherwise; "C" is what SQLite does.
PlainText = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite counts up only a column that is declared INTEGER.
Counter = BigInteger().with_variant(Integer(), "sqlite")


class Instant(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no time zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class DocumentText(TypeDecorator[str]):
    """Text out of a file, which may hold a NUL; PostgreSQL stores none, so a replacement character takes its place."""

    impl = Text()
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value.replace("\0", "\ufffd") if value and dialect.name == "postgresql" else value


class LabelRank(TypeDecorator[Label]):
    """A label by its rank, so that the database can compare labels."""

    impl: TypeEngine[int] = SmallInteger()
    cache_ok = True

    def process_bind_param(self, value: Label | None, dialect: Dialect) -> int | None:
        del dialect
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Label | None:
        del dialect
        return None if value is None else Label(value)
