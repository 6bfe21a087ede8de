"""Stages in this process: the gateway as it is wired, between upstreams of its own."""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from app import wiring
from app.config import Settings
from app.exporters.otlp import encode
from app.services.detectors import DetectionPolicy, Detectors, Span
from app.services.detectors.normalise import View
from app.stores.sql.documents import SqlDocumentStore
from app.utils.logging import JSONFormatter
from app.utils.tracing import RecordedSpan
from tests.no_leak.configurations import Configuration, Upstreams
from tests.no_leak.failures import echoing
from tests.no_leak.origins import CRASH_WORD, LONGEST_INSPECTED
from tests.no_leak.stage import Stage
from tests.support.answer import Dialect
from tests.support.dialects import AnthropicDialect, OllamaDialect, OpenAIDialect
from tests.support.ports import HOST, free_port
from tests.support.process import REPOSITORY
from tests.support.redis import RedisServer
from tests.support.service import isolated_settings, running
from tests.support.upstream import ScriptedUpstream

BUSY_SECONDS = 0.2

# Long enough for a busy machine's ordinary answers, short enough to wait for many that never come.
TIMEOUTS = {
    "timeout_connect": 1.0,
    "timeout_first_token": 20.0,  # litellm takes its time at the first call
    "timeout_first_token_local": 1.0,
    "timeout_between_tokens": 0.7,
    "timeout_total": 40.0,
}


@asynccontextmanager
async def open_stage(
    directory: Path, configuration: Configuration, *, redis: RedisServer | None = None
) -> AsyncGenerator[Stage, None]:
    """Run the deployment between upstreams of its own until the block is left."""
    async with open_upstreams(configuration) as (cloud, local), AsyncExitStack() as stack:
        settings = {**TIMEOUTS, **_files(directory, configuration), **configuration.settings(cloud)}
        settings |= {"ollama_base_url": local.origin, "vector_store": "memory", "log_level": "DEBUG"}
        if redis is not None:
            settings["redis_url"] = redis.url
        # Nobody is there: what would be sent is read where it is handed over.
        settings["otel_exporter_otlp_endpoint"] = f"http://{HOST}:{free_port()}"
        services = await stack.enter_async_context(open_services(isolated_settings(directory, **settings)))
        service = await stack.enter_async_context(running(directory, services=services, **settings))
        with captured_logs() as log:
            yield Stage(
                client=service.client,
                cloud=cloud,
                local=local,
                remote=configuration.remote,
                embedder=configuration.embedder,
                can=capabilities(configuration, redis=redis),
                logs=lambda: log.getvalue().encode(),
                spans=collected_spans(services),
                redis=redis,
                database=directory / "data" / "sluice.db",
                audit=directory / "data" / "audit",
            )


@asynccontextmanager
async def open_upstreams(configuration: Configuration) -> AsyncGenerator[tuple[Upstreams, ScriptedUpstream], None]:
    """The cloud models by the name of their provider, and the Ollama server; all of them repeat what they are told."""
    async with AsyncExitStack() as stack:
        dialects: dict[str, Dialect] = {
            "OpenAI": OpenAIDialect(),
            "OpenRouter": OpenAIDialect(),
            "Anthropic": AnthropicDialect(),
        }
        cloud = {name: await stack.enter_async_context(ScriptedUpstream(speaks)) for name, speaks in dialects.items()}
        local = await stack.enter_async_context(ScriptedUpstream(OllamaDialect(models=configuration.pulled)))
        for upstream in (*cloud.values(), local):
            upstream.script = echoing(upstream)
        yield cloud, local


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncGenerator[wiring.Services, None]:
    """As `wiring.open_services`, with a detector that can crash and without patience for a locked database."""
    async with wiring.open_services(settings) as services:
        policies = services.enforcement.policies
        detectors = Detectors(DetectionPolicy.load(settings.policy_file), extra=[crash_on_the_word])
        policies.current = replace(policies.current, detectors=detectors)
        hurry(services)
        await services.catalog.refresh()
        yield services


def hurry(services: wiring.Services) -> None:
    """Let writers wait for a locked database no longer than `BUSY_SECONDS`.

    White box on purpose: nobody who runs the gateway has to differ here, so there is no setting for it.
    """
    documents = services.documents
    assert isinstance(documents, SqlDocumentStore)
    documents._database._busy_seconds = BUSY_SECONDS


def crash_on_the_word(view: View) -> Iterable[Span]:
    """A detector that fails on one word, with an exception that quotes what it read."""
    if CRASH_WORD in view.text:
        raise ValueError(view.text)
    return ()


def capabilities(configuration: Configuration, *, redis: RedisServer | None) -> frozenset[str]:
    """What the suite may do to a deployment in this process."""
    optional = {
        "Redis": redis is not None,
        "embedder": configuration.embedder is not None,
        "local server": not configuration.remote,
    }
    own = {"detectors", "database", "short policy"} | {name for name, there in optional.items() if there}
    return frozenset(own) | configuration.can


def collected_spans(services: wiring.Services) -> Callable[[], bytes]:
    """Read every span of these services as it would be sent; none of them is."""
    spans: list[RecordedSpan] = []
    assert services.tracer is not None
    services.tracer.finish = spans.append
    return lambda: encode(spans, resource={})


@contextmanager
def captured_logs() -> Iterator[io.StringIO]:
    """Every record as the service writes it, beside where it goes anyway."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    handler.setFormatter(JSONFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    yield log
    root.removeHandler(handler)


def _files(directory: Path, configuration: Configuration) -> dict[str, Any]:
    """The policy with a smaller limit of length, and the catalog with what the configuration adds."""
    policy, catalog = directory / "policy.toml", directory / "catalog.toml"
    given = (REPOSITORY / "policy.toml").read_text(encoding="utf-8")
    policy.write_text(given.replace("max_characters = 2_000_000", f"max_characters = {LONGEST_INSPECTED}"), "utf-8")
    known = (REPOSITORY / "catalog.toml").read_text(encoding="utf-8")
    if configuration.catalog:
        identity = configuration.catalog.splitlines()[2]
        known = "[[model]]".join(entry for entry in known.split("[[model]]") if identity not in entry)
    catalog.write_text(known + configuration.catalog, "utf-8")
    return {"policy_file": policy, "catalog_file": catalog}
