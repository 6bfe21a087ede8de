"""Server-sent events, put together line by line."""

from __future__ import annotations

from collections.abc import Sequence

from app.egress import LONGEST_LINE
from app.errors import UpstreamBrokenError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventBuffer:
    """Collects the `data` of one event at a time, as the HTML standard's section on server-sent events has it.

    Comments and the other fields carry nothing for us.
    """

    def __init__(self) -> None:
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Take the next lines, without their ends; the data of each event that they complete, if it has any.

        Raises `UpstreamBrokenError` for an event longer than the longest line may be.
        """
        events = []
        for line in lines:
            if not line:
                if self._data and (data := self.flush()):
                    events.append(data)
                continue
            field, _, value = line.removeprefix(BYTE_ORDER_MARK).partition(b":")
            if field == b"data":
                self._data.append(value.removeprefix(b" "))
                self._size += len(value)
                if self._size > LONGEST_LINE:
                    raise UpstreamBrokenError
        return events

    def flush(self) -> bytes | None:
        """What was collected: also the last event of a body that ends without the empty line after it."""
        data = b"\n".join(self._data) if self._data else None
        self._data, self._size = [], 0
        return data
