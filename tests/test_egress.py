"""The one way out: what is not cleared is not written, and nothing goes anywhere but where it was sent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from app.egress import Egress, LocalNetworks, PeerNotLocalError, Request
from app.errors import NotClearedError, UpstreamGivenUpError, UpstreamTimeoutError, UpstreamUnavailableError
from app.models import Dispatch, Label, Locality, Model
from tests.support.behaviours import Redirect
from tests.support.dialects import OpenAIDialect
from tests.support.upstream import ScriptedUpstream

BODY = b'{"model": "m", "messages": [], "user": "brivolunder"}'


class NothingIsLocal(LocalNetworks):
    """As if the loopback address were somebody else's."""

    def __contains__(self, address: str) -> bool:
        return False


def model_at(locality: Locality, *, clearance: Label = Label.CONFIDENTIAL) -> Model:
    return Model(provider="openai", name="m", locality=locality, clearance=clearance)


def dispatch(label: Label, locality: Locality, *, clearance: Label = Label.CONFIDENTIAL) -> Dispatch[bytes]:
    return Dispatch(BODY, label, model_at(locality, clearance=clearance))


@asynccontextmanager
async def open_egress(
    *, cloud_clearance: Label = Label.INTERNAL, networks: LocalNetworks | None = None, connect_timeout: float = 5
) -> AsyncIterator[Egress]:
    egress = Egress(
        cloud_clearance=cloud_clearance,
        networks=LocalNetworks() if networks is None else networks,
        connect_timeout=connect_timeout,
        total_timeout=10,
    )
    try:
        yield egress
    finally:
        await egress.close()


async def post(egress: Egress, sent: Dispatch[bytes], url: str) -> int:
    async with egress.send(sent, Request(url=url, body=BODY)) as response:
        await response.body()
        return response.status


# What is cleared


@pytest.mark.parametrize("label", Label)
@pytest.mark.parametrize("clearance", Label)
@pytest.mark.parametrize("locality", Locality)
def test_a_dispatch_above_its_models_clearance_cannot_be_made(
    label: Label, clearance: Label, locality: Locality
) -> None:
    if label <= clearance:
        assert dispatch(label, locality, clearance=clearance).label is label
    else:
        with pytest.raises(NotClearedError):
            dispatch(label, locality, clearance=clearance)


@pytest.mark.parametrize("label", Label)
@pytest.mark.parametrize("cloud_clearance", [Label.PUBLIC, Label.INTERNAL])
async def test_the_cloud_gets_nothing_above_the_cloud_clearance_whatever_its_entry_says(
    openai_upstream: ScriptedUpstream, label: Label, cloud_clearance: Label
) -> None:
    sent = dispatch(label, Locality.CLOUD)
    url = f"{openai_upstream.origin}/v1/chat/completions"
    async with open_egress(cloud_clearance=cloud_clearance) as egress:
        if label <= cloud_clearance:
            egress.admit(sent)
            assert await post(egress, sent, url) == 200
            assert BODY in openai_upstream.received
        else:
            with pytest.raises(NotClearedError):
                await post(egress, sent, url)
            with pytest.raises(NotClearedError):
                egress.admit(sent)
            assert openai_upstream.connections == 0


async def test_what_a_foreign_library_sends_counts_as_cloud_even_if_the_entry_says_local() -> None:
    async with open_egress() as egress:
        with pytest.raises(NotClearedError):
            egress.admit(dispatch(Label.CONFIDENTIAL, Locality.LOCAL))
        egress.admit(dispatch(Label.INTERNAL, Locality.LOCAL))


# What is local


async def test_a_local_model_at_a_foreign_address_gets_not_a_byte(openai_upstream: ScriptedUpstream) -> None:
    async with open_egress(networks=NothingIsLocal()) as egress:
        for _ in range(2):
            with pytest.raises(PeerNotLocalError):
                await post(egress, dispatch(Label.PUBLIC, Locality.LOCAL), openai_upstream.origin)
        assert await egress.ask(openai_upstream.origin, locality=Locality.LOCAL) is None
    await openai_upstream.wait_connections(1)
    assert openai_upstream.received == b""


async def test_the_twin_at_a_local_address_gets_it(openai_upstream: ScriptedUpstream) -> None:
    async with open_egress() as egress:
        url = f"{openai_upstream.origin}/v1/chat/completions"
        assert await post(egress, dispatch(Label.CONFIDENTIAL, Locality.LOCAL), url) == 200
    assert BODY in openai_upstream.received


async def test_a_name_counts_as_the_address_it_leads_to(openai_upstream: ScriptedUpstream) -> None:
    named = f"http://localhost:{openai_upstream.port}/v1/chat/completions"
    async with open_egress() as egress:
        assert await post(egress, dispatch(Label.CONFIDENTIAL, Locality.LOCAL), named) == 200
        assert await egress.locate(named) is Locality.LOCAL
    async with open_egress(networks=NothingIsLocal()) as egress:
        assert await egress.locate(named) is Locality.CLOUD


@pytest.mark.parametrize(
    ("url", "locality"),
    [
        ("http://127.0.0.1:11434", Locality.LOCAL),
        ("http://[::1]:11434", Locality.LOCAL),
        ("http://[::ffff:192.168.0.1]", Locality.LOCAL),
        ("http://8.8.8.8", Locality.CLOUD),
        ("http://[::ffff:8.8.8.8]", Locality.CLOUD),
        ("http://nowhere.invalid", Locality.CLOUD),
        ("http://", Locality.CLOUD),
    ],
)
async def test_an_address_is_local_only_if_it_is_surely_so(url: str, locality: Locality) -> None:
    async with open_egress() as egress:
        assert await egress.locate(url) is locality


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.255.255.254", "::1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1",
     "fdff::1", "::ffff:10.1.2.3", "::ffff:127.0.0.1"],
)  # fmt: skip
def test_loopback_and_private_addresses_are_local(address: str) -> None:
    assert address in LocalNetworks()


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "172.15.255.255", "172.32.0.1", "192.167.255.255", "11.0.0.1", "100.64.0.1", "169.254.169.254",
     "0.0.0.0", "198.18.0.1", "192.0.2.1", "240.0.0.1", "224.0.0.1", "::", "fe80::1", "fe80::1%eth0", "2001:db8::1",
     "64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:8.8.8.8", "::127.0.0.1"],
)  # fmt: skip
def test_every_other_address_is_not_local_until_the_operator_vouches_for_it(address: str) -> None:
    assert address not in LocalNetworks()
    assert address in LocalNetworks.parse([address.partition("%")[0].removeprefix("::ffff:")])


def test_a_vouched_network_holds_for_its_own_version_of_ip_only() -> None:
    networks = LocalNetworks.parse(["100.64.0.0/10", "2001:db8::/32"])
    assert "100.127.0.1" in networks
    assert "::ffff:100.64.0.1" in networks
    assert "2001:db8::5" in networks
    assert "100.128.0.1" not in networks
    with pytest.raises(ValueError, match=r"100\.64\.0\.1/10"):
        LocalNetworks.parse(["100.64.0.1/10"])


# Where it goes


@pytest.mark.parametrize("locality", Locality)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(openai_upstream: ScriptedUpstream, locality: Locality, status: int) -> None:
    async with ScriptedUpstream(OpenAIDialect()) as elsewhere, open_egress() as egress:
        openai_upstream.script = Redirect(f"{elsewhere.origin}/v1/chat/completions", status=status)
        url = f"{openai_upstream.origin}/v1/chat/completions"
        assert await post(egress, dispatch(Label.PUBLIC, locality), url) == status
        answer = await egress.ask(url, locality=locality, body=b"{}")
        assert answer is not None
        assert answer.status == status
        assert elsewhere.connections == 0


@pytest.mark.parametrize("locality", Locality)
async def test_a_proxy_of_the_environment_is_not_used(
    openai_upstream: ScriptedUpstream, locality: Locality, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ScriptedUpstream(OpenAIDialect()) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.origin)
        monkeypatch.delenv("no_proxy", raising=False)
        async with open_egress() as egress:
            url = f"{openai_upstream.origin}/v1/chat/completions"
            assert await post(egress, dispatch(Label.PUBLIC, locality), url) == 200
        assert proxy.connections == 0


async def test_what_goes_wrong_with_a_connection_is_told_without_its_text(openai_upstream: ScriptedUpstream) -> None:
    await openai_upstream.stop()
    async with open_egress() as egress:
        with pytest.raises(UpstreamUnavailableError) as failure:
            await post(egress, dispatch(Label.PUBLIC, Locality.CLOUD), openai_upstream.origin)
    assert str(openai_upstream.port) not in str(failure.value)
    assert failure.value.__suppress_context__


async def test_a_server_that_takes_no_connection_was_not_at_work() -> None:
    """So the call is late but not given up: what was never sent is not on the account."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        await loop.sock_connect(waiting, full.getsockname())
        async with open_egress(connect_timeout=0.1) as egress:
            with pytest.raises(UpstreamTimeoutError) as raised:
                await post(egress, dispatch(Label.PUBLIC, Locality.CLOUD), f"http://127.0.0.1:{full.getsockname()[1]}")
    assert not isinstance(raised.value, UpstreamGivenUpError)
