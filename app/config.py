"""Settings: the only reader of the environment and of `.env`."""

from __future__ import annotations

import base64
import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.errors import ConfigurationError
from app.models import Label
from app.utils.dynamo_address import DynamoAddress, is_dynamo

# Files that come with the service are found beside it, whatever directory it is started from.
HOME = Path(__file__).resolve().parent.parent
ENV_FILE = ".env"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
WEAK_ADMIN_KEYS = frozenset({"admin", "changeme", "password", "secret", "sluice", "test"})
SHORTEST_ADMIN_KEY = 16
# HS256 asks for a key as long as its digest (RFC 7518, 3.2).
SHORTEST_JWT_SECRET = 32
FEWEST_DISTINCT_BYTES = 8
# As the Standard Webhooks specification has it.
SHORTEST_WEBHOOK_KEY, LONGEST_WEBHOOK_KEY = 24, 64


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


def _read_label(value: object) -> object:
    return Label.parse(value) if isinstance(value, str) else value


def _split_labels(value: object) -> object:
    return (
        tuple(Label.parse(item.strip()) for item in value.split(",") if item.strip())
        if isinstance(value, str)
        else value
    )


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
LabelName = Annotated[Label, BeforeValidator(_read_label)]
LabelNames = Annotated[tuple[Label, ...], NoDecode, BeforeValidator(_split_labels)]


class Settings(BaseSettings):
    """Every setting, with a working default. The environment wins over `.env`; an empty value is unset."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    # The service
    env: Literal["development", "production", "test"] = "development"
    debug: bool = False
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    data_dir: Path = Path("data")
    workers: int = Field(default=1, ge=1, le=64)
    ingest_workers: int = Field(default=16, ge=0, le=64)
    serverless: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    cors_origins: CommaSeparated = ()
    rate_limit_per_minute: int = Field(default=60, ge=0)

    # Who may ask
    auth_required: bool = False
    admin_key: SecretStr | None = None
    allow_open: bool = False
    jwt_secret: SecretStr | None = None
    jwt_jwks_url: str | None = None
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    jwt_tenant_claim: str = "tenant"
    jwt_scope_claim: str = "scope"
    jwt_clearance_claim: str = "clearance"
    jwt_user_claim: str = "sub"
    user_requests_per_minute: int = Field(default=0, ge=0)
    user_tokens_per_minute: int = Field(default=0, ge=0)
    tenant_budget_day: float = Field(default=0, ge=0)
    tenant_budget_month: float = Field(default=0, ge=0)
    budget_webhook_url: str | None = None
    budget_webhook_secret: SecretStr | None = None

    # Models and where they are
    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str | None = None
    gemini_api_key: SecretStr | None = None
    mistral_api_key: SecretStr | None = None
    groq_api_key: SecretStr | None = None
    deepseek_api_key: SecretStr | None = None
    xai_api_key: SecretStr | None = None
    openrouter_api_key: SecretStr | None = None
    openrouter_base_url: str = "https://openrouter.ai/api/v1"
    ollama_base_url: str = "http://127.0.0.1:11434"
    local_addresses: CommaSeparated = ()
    catalog_file: Path = HOME / "catalog.toml"
    model_simple: CommaSeparated = ()
    model_moderate: CommaSeparated = ()
    model_complex: CommaSeparated = ()
    model_long_context: CommaSeparated = ()
    model_local: CommaSeparated = ()
    model_concurrency: int = Field(default=256, ge=1)

    # Labels
    policy_file: Path = HOME / "policy.toml"
    cloud_clearance: LabelName = Label.INTERNAL
    document_default_label: LabelName = Label.INTERNAL
    uninspected_label: LabelName = Label.INTERNAL
    on_denied: Literal["reroute", "refuse"] = "reroute"
    redact: LabelNames = ()

    # Sessions
    session_upkeep: Literal["model", "none"] = "model"
    session_retention_days: int = Field(default=0, ge=0, le=36_500)

    # Stores
    database_url: SecretStr | None = None
    vector_store: Literal["chroma", "pgvector", "memory"] = "chroma"
    chroma_path: Path = Path("chroma_db")
    chroma_url: str | None = None
    pgvector_url: SecretStr | None = None
    embedding_model: str = "builtin/all-MiniLM-L6-v2"
    reranker_model: str | None = None
    redis_url: SecretStr | None = None
    cache_ttl: int = Field(default=3600, ge=0)
    cache_max_temperature: float = Field(default=2.0, ge=0, le=2)
    cache_max_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    cache_replay_pause: float = Field(default=0, ge=0, le=1)

    # Traces
    otel_exporter_otlp_endpoint: str | None = None
    otel_exporter_otlp_headers: SecretStr | None = None
    otel_service_name: str = "sluice"
    otel_traces_sampler_arg: float = Field(default=1.0, ge=0, le=1)
    trace_content: bool = False

    # Time-outs, in seconds
    timeout_connect: float = Field(default=5, gt=0)
    timeout_first_token: float = Field(default=60, gt=0)
    timeout_first_token_local: float = Field(default=300, gt=0)
    timeout_between_tokens: float = Field(default=20, gt=0)
    timeout_total: float = Field(default=600, gt=0)

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> Self:
        if self.cloud_clearance > Label.INTERNAL:
            raise ConfigurationError("CLOUD_CLEARANCE may be public or internal: confidential data stays local.")
        self._check_admin_key()
        self._check_tokens()
        if self.serverless and self.vector_store == "chroma" and self.chroma_url is None:
            raise ConfigurationError("SERVERLESS=true keeps no server: set CHROMA_URL, or VECTOR_STORE=memory.")
        self._check_collector()
        self._check_webhook()
        if not self.loopback and not self.protected and not self.allow_open:
            raise ConfigurationError(
                f"HOST={self.host} is reachable from other machines. Set ADMIN_KEY (and send it as a bearer key), "
                "or ALLOW_OPEN=true to serve everyone who can reach it."
            )
        return self

    def _check_admin_key(self) -> None:
        if self.admin_key is None:
            if self.auth_required and not self._takes_tokens:
                raise ConfigurationError("AUTH_REQUIRED=true needs ADMIN_KEY: without it nobody could ask.")
            return
        key = self.admin_key.get_secret_value()
        if len(key) < SHORTEST_ADMIN_KEY or key.lower() in WEAK_ADMIN_KEYS:
            raise ConfigurationError(
                f"ADMIN_KEY is too weak: use {SHORTEST_ADMIN_KEY} characters or more, e.g. from `openssl rand -hex 32`."
            )

    def _check_tokens(self) -> None:
        secret = self.jwt_secret.get_secret_value().encode() if self.jwt_secret else None
        if secret is not None and (len(secret) < SHORTEST_JWT_SECRET or len(set(secret)) < FEWEST_DISTINCT_BYTES):
            raise ConfigurationError(
                f"JWT_SECRET is too weak: use {SHORTEST_JWT_SECRET} random bytes or more, "
                "e.g. from `openssl rand -hex 32`."
            )
        url = urlsplit(self.jwt_jwks_url or "")
        if self.jwt_jwks_url is not None and (url.scheme not in ("http", "https") or not url.hostname):
            raise ConfigurationError("JWT_JWKS_URL must be the http or https address of a JSON Web Key Set.")

    def _check_collector(self) -> None:
        url = urlsplit(self.otel_exporter_otlp_endpoint or "")
        if self.otel_exporter_otlp_endpoint is not None and (url.scheme not in ("http", "https") or not url.hostname):
            raise ConfigurationError("OTEL_EXPORTER_OTLP_ENDPOINT must be an address such as http://127.0.0.1:4318.")

    def _check_webhook(self) -> None:
        url = urlsplit(self.budget_webhook_url or "")
        if self.budget_webhook_url is not None and (url.scheme not in ("http", "https") or not url.hostname):
            raise ConfigurationError("BUDGET_WEBHOOK_URL must be an http or https address.")
        if self.budget_webhook_url is not None and self.webhook_key is None:
            raise ConfigurationError(
                "BUDGET_WEBHOOK_URL needs BUDGET_WEBHOOK_SECRET, which signs what is sent: 24 to 64 bytes in base64, "
                "e.g. from `openssl rand -base64 32`."
            )

    @property
    def webhook_key(self) -> bytes | None:
        """The bytes of `BUDGET_WEBHOOK_SECRET`, whose text may begin with `whsec_`; `None` if it is not usable."""
        secret = self.budget_webhook_secret.get_secret_value() if self.budget_webhook_secret else ""
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            return None
        return key if SHORTEST_WEBHOOK_KEY <= len(key) <= LONGEST_WEBHOOK_KEY else None

    @property
    def _takes_tokens(self) -> bool:
        return self.jwt_secret is not None or self.jwt_jwks_url is not None

    @cached_property
    def loopback(self) -> bool:
        """Whether the service listens on this machine's loopback address only."""
        return self.host in LOOPBACK_HOSTS

    @cached_property
    def protected(self) -> bool:
        """Whether every request must carry a key: asked for, or served to other machines with a key to hand."""
        credentials = self.admin_key is not None or self._takes_tokens
        return self.auth_required or (credentials and not self.loopback and not self.allow_open)

    def secret(self, variable: str) -> SecretStr | None:
        """The secret in a variable that the catalog names: a setting, or any other of the environment or of `.env`."""
        if variable.lower() in type(self).model_fields:
            found = getattr(self, variable.lower())
            return found if isinstance(found, SecretStr) else None
        value = os.environ.get(variable) or dotenv_values(ENV_FILE).get(variable)
        return SecretStr(value) if value else None

    @cached_property
    def database(self) -> str:
        """The URL of the record, which may hold a password: `DATABASE_URL`, or SQLite in the data directory."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite+aiosqlite:///{self.data_dir / 'sluice.db'}"

    @cached_property
    def shared_database(self) -> bool:
        """Whether the record is on a server, where other machines may use it too."""
        return not self.database.startswith("sqlite")

    @cached_property
    def vector_database(self) -> str:
        """The URL of the database whose extension pgvector holds the vectors: `PGVECTOR_URL`, or that of the record."""
        return self.pgvector_url.get_secret_value() if self.pgvector_url else self.database

    @cached_property
    def _database_server(self) -> str:
        """The URL whose host is asked: of a table in DynamoDB that of its endpoint."""
        if not is_dynamo(self.database):
            return self.database
        try:
            return DynamoAddress.parse(self.database).server
        except ValueError:
            raise ConfigurationError(
                "DATABASE_URL must be of the form dynamodb://TABLE?region=REGION or ...&endpoint=http://HOST:PORT."
            ) from None

    @cached_property
    def stores(self) -> dict[str, str]:
        """The URLs of the stores that are servers, of the key set, the collector and the webhook, by their setting."""
        redis_url = self.redis_url.get_secret_value() if self.redis_url else None
        urls = {
            "DATABASE_URL": self._database_server,
            "CHROMA_URL": self.chroma_url,
            "PGVECTOR_URL": self.vector_database if self.vector_store == "pgvector" else None,
            "REDIS_URL": redis_url,
            "JWT_JWKS_URL": self.jwt_jwks_url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.otel_exporter_otlp_endpoint,
            "BUDGET_WEBHOOK_URL": self.budget_webhook_url,
        }
        return {setting: url for setting, url in urls.items() if url is not None and urlsplit(url).hostname}

    @cached_property
    def preferences(self) -> dict[str, tuple[str, ...]]:
        """The `MODEL_*` preference lists by the name of the rule they belong to; empty ones fall to the catalog."""
        return {
            "simple": self.model_simple,
            "moderate": self.model_moderate,
            "complex": self.model_complex,
            "long_context": self.model_long_context,
            "local": self.model_local,
        }
