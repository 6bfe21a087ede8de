"""What the service says when it has started: what it found, and where to go."""

from __future__ import annotations

from collections import Counter

from app.wiring import Services


def describe_start(services: Services) -> str:
    """A few lines for the terminal."""
    settings, view = services.settings, services.catalog.view
    address = f"http://{settings.host}:{settings.port}"
    found = Counter(view.models[name].provider for name in view.available if name != view.builtin.id)
    models = ", ".join(f"{count} of {provider}" for provider, count in sorted(found.items()))
    if view.builtin_only:
        models = "none found: builtin/extractive quotes the documents (set OPENAI_API_KEY or start Ollama for more)"
    rows = {
        "Models": models,
        "Embeddings": settings.embedding_model,
        "Vectors": settings.vector_store
        if settings.vector_store != "chroma"
        else settings.chroma_url or str(settings.chroma_path),
        "Cache": "Redis" if settings.redis_url else "in this process",
        "Record": "DATABASE_URL" if settings.database_url else str(settings.data_dir),
        "Access": "a key is needed"
        if settings.protected
        else f"open to {'everyone' if settings.allow_open else 'this machine'}",
        "API": f"{address}/docs",
    }
    lines = [f"  {name:<11}{value}" for name, value in rows.items()]
    return "\n".join((f"Sluice {services.version} on {address}", *lines))
