"""Reading `/metrics` as Prometheus does."""

from __future__ import annotations

import aiohttp
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


async def read_metrics(client: aiohttp.ClientSession) -> str:
    """The text of `/metrics`, from whichever process answers."""
    async with client.get("/metrics") as response:
        return await response.text()


def families(text: str) -> dict[str, Metric]:
    """The metrics by name; a counter's is without `_total`."""
    return {family.name: family for family in text_string_to_metric_families(text)}


def total(text: str, name: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels."""
    return sum(
        sample.value
        for family in families(text).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
