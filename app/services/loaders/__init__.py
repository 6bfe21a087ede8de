"""Reading documents of any supported kind into text: what a file is, what it says, and a process to find out in."""

from app.services.loaders.document import LoadError, LoadErrorCode, ParsedDocument, Section
from app.services.loaders.sandbox import Limits, Sandbox
from app.services.loaders.sniffing import sniff

__all__ = ["Limits", "LoadError", "LoadErrorCode", "ParsedDocument", "Sandbox", "Section", "sniff"]
