"""A model server that costs next to nothing: OpenAI's chat completions and embeddings over a bare asyncio protocol.

`python -m benchmarks.speed.upstream PORT [--chunks 100] [--chunks-per-second 0]`
"""

from __future__ import annotations

import argparse
import asyncio
import re
from dataclasses import dataclass

CREATED = 1_700_000_000
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
STREAMED = re.compile(rb'"stream": *true')
HEAD_END = b"\r\n\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


def usage_of(count: int) -> bytes:
    return b'{"prompt_tokens":20,"completion_tokens":%d,"total_tokens":%d}' % (count, 20 + count)


def words_of(count: int) -> list[bytes]:
    """The answer, in pieces: the same whether it is streamed or not."""
    return [b"word%d " % number for number in range(count)]


def whole_answer(count: int) -> bytes:
    body = (
        b'{"id":"chatcmpl-1","object":"chat.completion","created":%d,"model":"small-model","choices":[{"index":0,'
        b'"message":{"role":"assistant","content":"%s","refusal":null},"logprobs":null,"finish_reason":"stop"}],'
        b'"usage":%s}' % (CREATED, b"".join(words_of(count)), usage_of(count))
    )
    return _with_length(body)


def embeddings_answer() -> bytes:
    numbers = b",".join(b"0.0255" for _ in range(1536))
    body = (
        b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[%s]}],"model":"small-embedding",'
        b'"usage":{"prompt_tokens":8,"total_tokens":8}}' % numbers
    )
    return _with_length(body)


def stream_frames(count: int) -> list[bytes]:
    """`count` pieces of content, the finish, the usage and the end, each as one HTTP chunk."""
    pieces = [_frame(b'[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]' % word) for word in words_of(count)]
    finish = _frame(b'[{"index":0,"delta":{},"finish_reason":"stop"}]')
    usage = _frame(b"[]", usage=usage_of(count))
    return [*pieces, finish, usage, _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"]


@dataclass(frozen=True, slots=True)
class Answers:
    """What the upstream says, as bytes that are ready to be sent."""

    whole: bytes
    embeddings: bytes
    frames: list[bytes]


class Upstream(asyncio.Protocol):
    """One connection, requests one after the other."""

    def __init__(self, answers: Answers, *, pause: float) -> None:
        self._answers = answers
        self._pause = pause
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio.Protocol names it
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(HEAD_END)
        if end < 0:
            return
        length = LENGTH.search(self._received, 0, end)
        size = end + len(HEAD_END) + (int(length[1]) if length else 0)
        if len(self._received) < size:
            return
        request, self._received = self._received[:size], self._received[size:]
        self._answer(request)

    def _answer(self, request: bytes) -> None:
        if b"/embeddings" in request[:64]:
            self._write(self._answers.embeddings)
        elif STREAMED.search(request):
            self._write(STREAM_HEAD)
            self._send(0)
        else:
            self._write(self._answers.whole)

    def _send(self, number: int) -> None:
        """Each frame in a turn of the loop and a write of its own, as they come from a model."""
        if self._transport is None:
            return
        self._transport.write(self._answers.frames[number])
        if number + 1 < len(self._answers.frames):
            asyncio.get_running_loop().call_later(self._pause, self._send, number + 1)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _with_length(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def _frame(choices: bytes, *, usage: bytes = b"null") -> bytes:
    return _chunk(
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":%d,"model":"small-model","choices":%s,'
        b'"usage":%s}\n\n' % (CREATED, choices, usage)
    )


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _serve(port: int, *, chunks: int, chunks_per_second: float) -> None:
    answers = Answers(whole_answer(chunks), embeddings_answer(), stream_frames(chunks))
    pause = 1 / chunks_per_second if chunks_per_second else 0.0
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(answers, pause=pause), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--chunks", type=int, default=100)
    parser.add_argument("--chunks-per-second", type=float, default=0.0)
    options = parser.parse_args()
    asyncio.run(_serve(options.port, chunks=options.chunks, chunks_per_second=options.chunks_per_second))
