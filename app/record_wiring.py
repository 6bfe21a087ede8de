"""The record, what must not be lost: an engine by its URL, and the stores over it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from app.errors import ConfigurationError
from app.protocols import Clock, DocumentStore, EchoStore, KeyStore, ReplayStore, SessionStore, UsageStore
from app.utils.dynamo_address import DynamoAddress, is_dynamo

DYNAMO_FORM = "DATABASE_URL must be of the form dynamodb://TABLE?region=REGION or ...&endpoint=http://HOST:PORT."
NO_DYNAMO = "DATABASE_URL names DynamoDB, for which `make aws` installs what it takes."


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The stores over one engine. `agree_on_secret` gives the secret that was offered to it first."""

    sessions: SessionStore
    documents: DocumentStore
    keys: KeyStore
    usage: UsageStore
    echoes: EchoStore
    replays: ReplayStore
    agree_on_secret: Callable[[bytes], Awaitable[bytes]]
    is_current: Callable[[], Awaitable[bool]]


async def open_record(
    url: str, *, stack: AsyncExitStack, clock: Clock, new_id: Callable[[], str], migrate: bool = True
) -> Record:
    """Open the engine and bring its schema up to date, or leave it as it is without `migrate`; `stack` closes it.

    Raises `ConfigurationError` for an engine that cannot be had like this.
    """
    if is_dynamo(url):
        return await _open_dynamo(url, stack=stack, clock=clock, new_id=new_id, migrate=migrate)
    return await _open_sql(url, stack=stack, clock=clock, new_id=new_id, migrate=migrate)


async def _open_sql(
    url: str, *, stack: AsyncExitStack, clock: Clock, new_id: Callable[[], str], migrate: bool
) -> Record:
    from app.stores.sql.documents import SqlDocumentStore
    from app.stores.sql.echoes import SqlEchoStore
    from app.stores.sql.engine import Database
    from app.stores.sql.keys import SqlKeyStore
    from app.stores.sql.replays import SqlReplayStore
    from app.stores.sql.secrets import shared_secret
    from app.stores.sql.sessions import SqlSessionStore
    from app.stores.sql.usage import SqlUsageStore

    database = await Database.open(url, migrate=migrate)
    stack.push_async_callback(database.close)
    return Record(
        sessions=SqlSessionStore(database, clock=clock, new_id=new_id),
        documents=SqlDocumentStore(database, clock=clock, new_id=new_id),
        keys=SqlKeyStore(database),
        usage=SqlUsageStore(database),
        echoes=SqlEchoStore(database),
        replays=SqlReplayStore(database, clock=clock),
        agree_on_secret=lambda offered: shared_secret(database, offered=offered),
        is_current=database.is_current,
    )


async def _open_dynamo(
    url: str, *, stack: AsyncExitStack, clock: Clock, new_id: Callable[[], str], migrate: bool
) -> Record:
    try:
        address = DynamoAddress.parse(url)
    except ValueError:
        raise ConfigurationError(DYNAMO_FORM) from None
    try:
        from app.stores.dynamo.documents import DynamoDocumentStore
        from app.stores.dynamo.echoes import DynamoEchoStore
        from app.stores.dynamo.keys import DynamoKeyStore
        from app.stores.dynamo.replays import DynamoReplayStore, shared_secret
        from app.stores.dynamo.sessions import DynamoSessionStore
        from app.stores.dynamo.table import Table
        from app.stores.dynamo.usage import DynamoUsageStore
    except ModuleNotFoundError:
        raise ConfigurationError(NO_DYNAMO) from None

    table = await Table.open(address, stack=stack, create=migrate)
    documents = DynamoDocumentStore(table, clock=clock, new_id=new_id)
    if migrate:
        await documents.sweep()

    async def is_current() -> bool:
        return True  # opening it has found it; items say themselves what they hold

    return Record(
        sessions=DynamoSessionStore(table, clock=clock, new_id=new_id),
        documents=documents,
        keys=DynamoKeyStore(table),
        usage=DynamoUsageStore(table, clock=clock),
        echoes=DynamoEchoStore(table),
        replays=DynamoReplayStore(table, clock=clock),
        agree_on_secret=lambda offered: shared_secret(table, offered=offered),
        is_current=is_current,
    )
