"""The whole gateway in this event loop, with settings that touch nothing outside the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from fastapi import FastAPI
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from app.config import Settings
from app.main import create_app
from app.wiring import Services
from tests.support.asgi import serving
from tests.support.ports import HOST, free_port
from tests.support.process import REPOSITORY


class IsolatedSettings(Settings):
    """Settings from keyword arguments alone: neither the environment nor `.env` of whoever runs the tests."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def isolated_settings(directory: Path, **overrides: Any) -> Settings:
    """The defaults with all data under `directory`, no rate limit, and nobody at the address of Ollama."""
    return IsolatedSettings(
        **{
            "env": "test",
            "data_dir": directory / "data",
            "chroma_path": directory / "chroma",
            "catalog_file": REPOSITORY / "catalog.toml",
            "policy_file": REPOSITORY / "policy.toml",
            "ollama_base_url": f"http://{HOST}:{free_port()}",
            "rate_limit_per_minute": 0,
            **overrides,
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running gateway. `client` is an aiohttp session whose relative URLs go to it."""

    client: aiohttp.ClientSession
    url: str
    app: FastAPI
    settings: Settings


@asynccontextmanager
async def running(directory: Path, *, services: Services | None = None, **overrides: Any) -> AsyncIterator[Service]:
    """Serve `create_app` on a free port; `overrides` are settings by their lower-case names.

    `services`, if given, take the place of those that the settings would open.
    """
    settings = isolated_settings(directory, **overrides)
    app = create_app(settings, services=services)
    async with serving(app) as url, aiohttp.ClientSession(base_url=url) as client:
        yield Service(client=client, url=url, app=app, settings=settings)
