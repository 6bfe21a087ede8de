"""What administrators alone may do to labels: lower a document's, and set the floor of a collection.

That the caller is one is asked at the door (`AdminCaller`).
"""

from __future__ import annotations

from collections.abc import Callable

from app.errors import NotFoundError
from app.models import Caller, Label
from app.protocols import DocumentStore
from app.records import DocumentKey, DocumentVersion
from app.services.audit import Audit


class Relabelling:
    """Changes labels of documents and collections, each change with a record of its own.

    `wake` tells whoever works off jobs that there are some.
    """

    def __init__(self, *, documents: DocumentStore, audit: Audit, wake: Callable[[], None]) -> None:
        self._documents = documents
        self._audit = audit
        self._wake = wake

    async def declassify(
        self, key: DocumentKey, *, label: Label, reason: str | None, caller: Caller
    ) -> DocumentVersion:
        """Queue a new version of the document at exactly this label; readers see the one before it until it is indexed.

        Raises `NotFoundError` if the caller may not read every version of the document, and `ConflictError` if its
        label would rise or lie below the collection's floor.
        """
        versions = await self._documents.declassify(key, label=label, clearance=caller.clearance)
        if versions is None:
            raise NotFoundError
        old, new = versions
        self._audit.record_declassification(old, new, reason=reason, caller=caller)
        self._wake()
        return new

    async def set_floor(self, collection: str, *, floor: Label, caller: Caller) -> int:
        """Set the label that no document of the collection is below; how many versions were raised to it."""
        raised = await self._documents.set_floor(collection, tenant=caller.tenant, floor=floor)
        self._audit.record_floor(floor, raised=raised, caller=caller)
        self._wake()
        return raised
