"""The only file that knows the AWS SDK: connecting, making the table, and the SDK's errors as our own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from app.errors import ConfigurationError, DatabaseUnavailableError, SluiceError
from app.utils.dynamo_address import DynamoAddress

# The SDK makes its clients from descriptions at run time, so there is no class to name.
Client = Any

CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 10.0
CONNECTIONS: Final = 32
RETRY_AFTER_SECONDS: Final = 1.0
NO_TABLE: Final = "There is no DynamoDB table of the name in DATABASE_URL, and it may not be made from here."
NO_ACCESS: Final = "DynamoDB refuses the credentials that this process has, or there are none, or no region."

_BUSY = frozenset({"TransactionConflictException", "TransactionInProgressException"})
_BUSY_REASONS = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
_OWN_FAULTS = frozenset({"ValidationException", "SerializationException", "ItemCollectionSizeLimitExceededException"})
_REFUSALS = frozenset(
    {"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException"}
)


class ConditionError(Exception):
    """A write's condition did not hold."""


class BusyError(Exception):
    """Another write to the same items was under way."""


async def connect(address: DynamoAddress, *, stack: AsyncExitStack) -> Client:
    """A client with its own connections, which `stack` closes; it finds credentials as every AWS tool does."""
    config = AioConfig(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 3},
        parameter_validation=False,  # a third of a call's CPU, for calls that are all made in one file
    )
    try:
        client = get_session().create_client(
            "dynamodb", region_name=address.region, endpoint_url=address.endpoint, config=config
        )
        return await stack.enter_async_context(client)
    except (NoRegionError, NoCredentialsError, ValueError):
        raise ConfigurationError(NO_ACCESS) from None


async def prepare(client: Client, address: DynamoAddress, *, create: bool) -> None:
    """Make the table if it is not there; raises `ConfigurationError` if that may not be, or nobody may use it."""
    try:
        try:
            await client.get_item(TableName=address.table, Key={"pk": {"S": "ping"}, "sk": {"S": "ping"}})
        except ClientError as error:
            if _code(error) != "ResourceNotFoundException":
                raise
            if not create:
                raise ConfigurationError(NO_TABLE) from None
            await _create(client, address.table)
    except NoCredentialsError:
        raise ConfigurationError(NO_ACCESS) from None
    except ClientError as error:
        raise _refusal(error) from None
    except BotoCoreError:
        raise DatabaseUnavailableError(retry_after=RETRY_AFTER_SECONDS) from None


async def _create(client: Client, table: str) -> None:
    """The table that deploy/aws/template.yaml describes; a test keeps the two equal."""
    try:
        await client.create_table(TableName=table, BillingMode="PAY_PER_REQUEST", **schema())
        await client.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
    except ClientError as error:
        if _code(error) != "ResourceInUseException":  # another process was faster
            raise ConfigurationError(NO_TABLE) from None
        await client.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
    else:
        await client.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
        )


def schema() -> dict[str, Any]:
    """Keys and indexes of the table, in the words of CreateTable."""
    pairs = {"": ("pk", "sk"), "lists": ("lpk", "lsk"), "due": ("dpk", "dsk")}
    schemas = {
        name: [{"AttributeName": hashed, "KeyType": "HASH"}, {"AttributeName": ranged, "KeyType": "RANGE"}]
        for name, (hashed, ranged) in pairs.items()
    }
    return {
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": "S"} for pair in pairs.values() for name in pair
        ],
        "KeySchema": schemas.pop(""),
        "GlobalSecondaryIndexes": [
            {"IndexName": name, "KeySchema": keys, "Projection": {"ProjectionType": "KEYS_ONLY"}}
            for name, keys in schemas.items()
        ],
    }


@contextmanager
def translated() -> Iterator[None]:
    """Turn the SDK's errors, whose texts may quote items, into our own, which quote nothing."""
    try:
        yield
    except ClientError as error:
        raise _translate(error) from None
    except (BotoCoreError, OSError, TimeoutError):
        raise DatabaseUnavailableError(retry_after=RETRY_AFTER_SECONDS) from None


def _translate(error: ClientError) -> Exception:
    code = _code(error)
    reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", ())}
    if code == "ConditionalCheckFailedException" or "ConditionalCheckFailed" in reasons:
        return ConditionError()
    if code in _BUSY or reasons & _BUSY_REASONS:
        return BusyError()
    return SluiceError() if code in _OWN_FAULTS else DatabaseUnavailableError(retry_after=RETRY_AFTER_SECONDS)


def _refusal(error: ClientError) -> Exception:
    """At a start a server that does not let us in is the operator's mistake, not trouble that will pass."""
    return ConfigurationError(NO_ACCESS) if _code(error) in _REFUSALS else _translate(error)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
