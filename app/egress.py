"""The one way out: every outbound connection to a model is opened here, after its label was tested.

Two pools of connections exist. The local one refuses, before a byte of the request is written, any connection whose
peer is not a local address; the cloud one refuses any request above the cloud clearance. Neither follows redirects
nor takes a proxy from the environment.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs

from app.errors import (
    ConfigurationError,
    NotClearedError,
    UpstreamBrokenError,
    UpstreamError,
    UpstreamGivenUpError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from app.models import Dispatch, Label, Locality
from app.utils.tracing import CURRENT

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# `ipaddress.is_private` also holds for documentation, benchmarking and shared ranges, which are nobody's own network.
LOCAL_NETWORKS: tuple[IPNetwork, ...] = tuple(
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)

LARGEST_ANSWER = 64 * 1024 * 1024
LONGEST_LINE = 4 * 1024 * 1024
SETTLE_SECONDS = 0.05
PROBE_TIMEOUT = aiohttp.ClientTimeout(total=3)


class PeerNotLocalError(UpstreamUnavailableError):
    code = "peer_not_local"
    message = "The address of a local model is not a local address; nothing was sent."


@dataclass(frozen=True, slots=True)
class LocalNetworks:
    """The addresses that count as local: loopback, private, and what the operator vouches for."""

    vouched: tuple[IPNetwork, ...] = ()

    @classmethod
    def parse(cls, addresses: Sequence[str]) -> LocalNetworks:
        """Read addresses and networks in CIDR form; raises `ValueError` for anything else."""
        return cls(tuple(ipaddress.ip_network(address) for address in addresses))

    def __contains__(self, address: str) -> bool:
        ip = _unmapped(ipaddress.ip_address(address.partition("%")[0]))
        return any(ip in network for network in (*LOCAL_NETWORKS, *self.vouched) if network.version == ip.version)


def _unmapped(ip: IPAddress) -> IPAddress:
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return mapped or ip


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request to a model's server. `body` was serialised from the payload of the dispatch it goes with."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Description:
    """What a server says of itself."""

    status: int
    body: bytes


class Response:
    """A model server's answer, read in bounded pieces; transport trouble is raised as `UpstreamError`."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._rest = b""
        self.status = response.status
        self.headers = response.headers

    async def read(self) -> bytes:
        """What has arrived of the body, nothing at its end; raises `UpstreamBrokenError` if it is cut short."""
        with READING:
            return await self._response.content.readany()

    async def body(self) -> bytes:
        """The whole body; raises `UpstreamBrokenError` if it is cut short or longer than the largest answer."""
        parts: list[bytes] = []
        size = 0
        while part := await self.read():
            size += len(part)
            if size > LARGEST_ANSWER:
                raise UpstreamBrokenError
            parts.append(part)
        return b"".join(parts)

    async def lines(self) -> Sequence[bytes]:
        """The next lines that arrive together, without their ends, none at the body's end; the last needs no end."""
        complete: list[bytes] = []
        while not complete and (chunk := await self.read()):
            *complete, self._rest = (self._rest + chunk).split(b"\n") if b"\n" in chunk else (self._rest + chunk,)
            if len(self._rest) > LONGEST_LINE:
                raise UpstreamBrokenError
        if not complete and self._rest:
            complete, self._rest = [self._rest], b""
        return [line.rstrip(b"\r") for line in complete]

    async def settle(self) -> None:
        """Wait a moment for the end of a body whose content is over, so that its connection can serve again."""
        if self._response.content.at_eof():
            return
        with suppress(TimeoutError, UpstreamError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while await self.read():
                    pass


def tell_trace(headers: Mapping[str, str], *, url: str) -> Mapping[str, str]:
    """The headers with the ids of the trace that the request belongs to, and nothing else that a client sent of it."""
    span = CURRENT.get()
    if span is None or span.context is None:
        return headers
    if span.recording:
        address = urlsplit(url)
        span.set({"server.address": address.hostname, "server.port": address.port})
    return {**headers, "traceparent": span.context.traceparent}


class _transport_errors:  # noqa: N801  (reads as a statement: `with _transport_errors(...)`)
    """Turn the transport's exceptions into ours, dropping their text, which may quote what was sent."""

    def __init__(self, *, while_reading: bool = False) -> None:
        self._while_reading = while_reading

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if error is None or isinstance(error, UpstreamError):
            return
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            raise UpstreamTimeoutError from None
        if isinstance(error, TimeoutError):
            raise UpstreamGivenUpError from None
        if isinstance(error, (aiohttp.ClientError, OSError)):
            raise (UpstreamBrokenError if self._while_reading else UpstreamUnavailableError) from None


READING = _transport_errors(while_reading=True)


class Exchange:
    """A request, written on entering, and its answer, whose head is there then; leaving it unread cuts it."""

    def __init__(self, session: aiohttp.ClientSession, request: Request) -> None:
        self._session = session
        self._request = request

    async def __aenter__(self) -> Response:
        request = self._request
        headers = tell_trace(request.headers, url=request.url)
        with _transport_errors():
            self._response = await self._session.post(
                request.url, data=request.body, headers=headers, allow_redirects=False
            )
        return Response(self._response)

    async def __aexit__(self, *_: object) -> None:
        # A fully read answer has given its connection back already; any other is cut, which cancels upstream.
        self._response.close()


class _LocalConnector(aiohttp.TCPConnector):
    """Hands out only connections whose peer is a local address, new or pooled, before anything is written."""

    def __init__(self, *, networks: LocalNetworks) -> None:
        super().__init__(limit=0, ttl_dns_cache=10)
        self._networks = networks

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  (the library's signature)
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        peer = connection.transport.get_extra_info("peername") if connection.transport else None
        if not peer or peer[0] not in self._networks:
            connection.close()
            raise PeerNotLocalError
        return connection


class Egress:
    """Sends what is cleared. Built once, inside the running event loop, and closed with the service."""

    def __init__(
        self, *, cloud_clearance: Label, networks: LocalNetworks, connect_timeout: float, total_timeout: float
    ) -> None:
        self._cloud_clearance = cloud_clearance
        self._networks = networks
        timeout = aiohttp.ClientTimeout(total=total_timeout, sock_connect=connect_timeout)
        self._local = _session(_LocalConnector(networks=networks), timeout=timeout)
        self._cloud = _session(aiohttp.TCPConnector(limit=0, ttl_dns_cache=60), timeout=timeout)

    def send(self, dispatch: Dispatch[object], request: Request) -> Exchange:
        """The exchange with the model's server, to be entered.

        Raises `NotClearedError` if the label is above the clearance; entering raises `PeerNotLocalError` before
        writing if a local model's peer is elsewhere, and `UpstreamError` for trouble on the way.
        """
        return Exchange(self._session_for(dispatch), request)

    def admit(self, dispatch: Dispatch[object]) -> None:
        """Test a dispatch that a foreign client library will send; such a model is cloud whatever its entry says."""
        self._check(dispatch, clearance=min(dispatch.model.clearance, self._cloud_clearance))

    async def ask(
        self, url: str, *, locality: Locality, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Description | None:
        """GET (or, with a body, POST) a question about a server itself; `None` if it does not answer.

        The body names a model or a budget at most: client text never goes this way.
        """
        session = self._local if locality is Locality.LOCAL else self._cloud
        method = hdrs.METH_GET if body is None else hdrs.METH_POST
        try:
            async with session.request(
                method, url, headers=headers, data=body, allow_redirects=False, timeout=PROBE_TIMEOUT
            ) as response:
                return Description(status=response.status, body=await Response(response).body())
        except (aiohttp.ClientError, OSError, UpstreamError):
            return None

    async def report(self, url: str, *, body: bytes, headers: Mapping[str, str], within: float) -> int | None:
        """POST what tells of requests, without any text of theirs; the status, `None` if there is no answer.

        As with a local model, the connected peer has to be at an address of ours before anything is written.
        """
        timeout = aiohttp.ClientTimeout(total=within)
        try:
            async with self._local.post(
                url, data=body, headers=headers, allow_redirects=False, timeout=timeout
            ) as response:
                await Response(response).body()
                return response.status
        except (aiohttp.ClientError, OSError, UpstreamError):
            return None

    async def locate(self, url: str) -> Locality:
        """Local if every address that the URL's host has now is local. What cannot be looked up is cloud."""
        found = await _addresses(url)
        return Locality.LOCAL if found and all(address in self._networks for address in found) else Locality.CLOUD

    def is_ours(self, address: str) -> bool:
        """Whether the address is loopback, private or vouched for."""
        return address in self._networks

    async def refuse_foreign(self, url: str, *, setting: str) -> None:
        """Raise `ConfigurationError` if a store, which takes text or what tells of it, is at an address not ours.

        A name that has no address now cannot be reached under it either; its store is away, not elsewhere.
        """
        if any(address not in self._networks for address in await _addresses(url)):
            raise ConfigurationError(
                f"{setting} leads to an address outside loopback and the private ranges. If it is yours, "
                "list it in LOCAL_ADDRESSES."
            )

    async def close(self) -> None:
        await self._local.close()
        await self._cloud.close()

    def _session_for(self, dispatch: Dispatch[object]) -> aiohttp.ClientSession:
        if dispatch.model.locality is Locality.LOCAL:
            self._check(dispatch, clearance=dispatch.model.clearance)
            return self._local
        self._check(dispatch, clearance=min(dispatch.model.clearance, self._cloud_clearance))
        return self._cloud

    def _check(self, dispatch: Dispatch[object], *, clearance: Label) -> None:
        if not dispatch.label <= clearance:
            raise NotClearedError(model=dispatch.model.id)


async def _addresses(url: str) -> list[str]:
    """The addresses that the URL's hosts have now, several of which have commas between them; not those unknown."""
    _, _, hosts = urlsplit(url).netloc.rpartition("@")
    found = await asyncio.gather(*(_look_up(urlsplit(f"//{host}").hostname or "") for host in hosts.split(",")))
    return [address for addresses in found for address in addresses]


async def _look_up(host: str) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [str(address[0]) for *_, address in found]


def _session(connector: aiohttp.BaseConnector, *, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Content-Type": "application/json", "User-Agent": "sluice"},
        read_bufsize=2**16,
    )
