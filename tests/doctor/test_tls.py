"""The doctor's findings about TLS, from handshakes with right and with faulty servers."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from certificates import make_certificate
from machine import free_port

from proxy.doctor.finding import Finding
from proxy.doctor.web import tls
from proxy.doctor.web.network_access import NetworkAccess

HOST = "shop.example"


def context(directory: Path, lowest: str = "TLSv1_2", highest: str = "TLSv1_3") -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made.minimum_version, made.maximum_version = ssl.TLSVersion[lowest], ssl.TLSVersion[highest]
    if lowest == "TLSv1":
        made.set_ciphers("ALL:@SECLEVEL=0")
    return made


@asynccontextmanager
async def server(speaking: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Listen during the ``with`` block, with TLS if a context is given, else in plain HTTP; yield the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if speaking is None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
        writer.close()

    started = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=speaking)
    async with started:
        yield started.sockets[0].getsockname()[1]


async def found(port: int, directory: Path, *, trusted: bool = True, host: str = HOST) -> list[Finding]:
    authorities = str(directory / "certificate.pem") if trusted else None
    ways = NetworkAccess({(host, 443): ("127.0.0.1", port)}, authorities=authorities, seconds=5.0)
    return [finding async for finding in tls.findings(ways, host, 443)]


@pytest.mark.parametrize(
    ("names", "days", "trusted", "codes"),
    [
        ([HOST], 30, True, []),
        ([f"*.{HOST}", HOST], 30, True, []),
        ([HOST], 13, True, ["tls_ends_soon"]),
        ([HOST], -1, True, ["tls_expired"]),
        (["other.example"], 30, True, ["tls_wrong_name"]),
        ([HOST], 30, False, ["tls_chain"]),
    ],
)
async def test_a_certificate_is_judged_as_browsers_do(
    names: list[str],
    days: int,
    trusted: bool,  # noqa: FBT001
    codes: list[str],
    tmp_path: Path,
) -> None:
    """The name, the dates and the trust of a certificate are checked."""
    make_certificate(tmp_path, *names, days=days)
    async with server(context(tmp_path)) as port:
        assert [finding.code for finding in await found(port, tmp_path, trusted=trusted)] == codes


@pytest.mark.parametrize(
    ("lowest", "highest", "codes"),
    [
        ("TLSv1_2", "TLSv1_2", []),
        ("TLSv1", "TLSv1_3", ["tls_old_protocol"]),
        ("TLSv1", "TLSv1_1", ["tls_refused", "tls_old_protocol"]),
    ],
)
async def test_protocols_that_were_given_up_are_told(
    lowest: str, highest: str, codes: list[str], tmp_path: Path
) -> None:
    """Obsolete protocol versions are a doubt beside current ones, and a failure if there are no others."""
    make_certificate(tmp_path, HOST)
    async with server(context(tmp_path, lowest, highest)) as port:
        assert [finding.code for finding in await found(port, tmp_path)] == codes


async def test_plain_http_where_https_is_expected_is_told(tmp_path: Path) -> None:
    """A server that does not speak TLS on its port is reported so."""
    make_certificate(tmp_path, HOST)
    async with server(None) as port:
        assert [finding.code for finding in await found(port, tmp_path)] == ["tls_missing"]


async def test_a_server_that_is_away_is_no_pass(tmp_path: Path) -> None:
    """If nobody listens, the certificate is unknown, and the check says so."""
    make_certificate(tmp_path, HOST)
    (finding,) = await found(free_port(), tmp_path)

    assert (finding.code, finding.failing, finding.seen) == ("tls_unseen", False, "nothing listens there")
