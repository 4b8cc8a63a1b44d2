"""What a browser would say of the certificate of a public name, and whether old protocols are still spoken."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from proxy.doctor.finding import Finding
from proxy.doctor.web.network_access import NetworkAccess
from proxy.doctor.web.visitor import tls_context

_SOON_DAYS = 14
_PROTOCOLS = "ssl_protocols TLSv1.2 TLSv1.3;"
_CERT_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_HOSTNAME_MISMATCH = 62  # X509_V_ERR_HOSTNAME_MISMATCH
_UNREACHED = {ConnectionRefusedError: "nothing listens there", ConnectionResetError: "the server hung up"}


@dataclass(frozen=True, slots=True)
class TlsLook:
    """The result of a TLS handshake."""

    ends: datetime | None = None
    """When the certificate ends; None when there was no handshake."""
    error: Exception | None = None


async def findings(ways: NetworkAccess, host: str, port: int) -> AsyncIterator[Finding]:
    """Yield what is wrong with TLS at a public name.

    Args:
        ways: How names are resolved.
        host: The name.
        port: The port for https.
    """
    context = await asyncio.to_thread(tls_context, ways)
    look = await _shake_hands(ways, host, port, context)
    name = host if port == 443 else f"{host}:{port}"
    if look.ends and (left := look.ends - datetime.now(UTC)).days < _SOON_DAYS:
        yield Finding("tls_ends_soon", name, f"ends on {look.ends:%Y-%m-%d}, in {left.days} days", "certbot renew")
    old = TlsLook() if isinstance(look.error, TimeoutError) else await _shake_hands(ways, host, port, old_context())
    if look.error:
        # Some servers hang up rather than say that they do not speak a protocol.
        yield _handshake_finding(
            name, ssl.SSLError("the server hung up") if old.ends and _hung_up(look.error) else look.error
        )
    if old.ends:
        yield Finding("tls_old_protocol", name, "a handshake with TLS 1.1 or older came to its end", _PROTOCOLS)


def _hung_up(error: Exception) -> bool:
    return isinstance(error, OSError) and not isinstance(error, ssl.SSLError)


def _handshake_finding(name: str, error: Exception) -> Finding:
    if isinstance(error, ssl.SSLCertVerificationError):
        words = error.verify_message
        if error.verify_code == _CERT_EXPIRED:
            return Finding("tls_expired", name, words, "certbot renew")
        if error.verify_code == _HOSTNAME_MISMATCH:
            return Finding("tls_wrong_name", name, words, f"certbot certonly -d {name.partition(':')[0]}")
        return Finding("tls_chain", name, words, f"ssl_certificate /etc/letsencrypt/live/{name}/fullchain.pem;")
    if isinstance(error, ssl.SSLError):
        said = getattr(error, "reason", None)
        if said in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
            return Finding("tls_missing", name, "answers, and not in TLS", "listen 443 ssl;")
        reason = (said or str(error)).lower().replace("_", " ")
        return Finding("tls_refused", name, reason, _PROTOCOLS)
    words = next((said for kind, said in _UNREACHED.items() if isinstance(error, kind)), str(error))
    return Finding("tls_unseen", name, words or type(error).__name__)


async def _shake_hands(ways: NetworkAccess, host: str, port: int, context: ssl.SSLContext) -> TlsLook:
    endpoints = await ways.endpoints(host, port)
    error: Exception = OSError("no address is known")
    for address, at in endpoints:
        try:
            async with asyncio.timeout(ways.seconds):
                _, writer = await asyncio.open_connection(address, at, ssl=context, server_hostname=host)
        except TimeoutError:
            error = TimeoutError("no answer in time")
        except (OSError, ssl.SSLError) as raised:
            error = raised
        else:
            ends = _end_of(writer.get_extra_info("peercert"))
            writer.transport.abort()
            return TlsLook(ends)
        if isinstance(error, ssl.SSLError):
            break
    return TlsLook(error=error)


def _end_of(certificate: dict[str, Any] | None) -> datetime:
    """Return when a certificate ends; the last moment there is if it is not known.

    The ``ssl`` module shows a certificate only if it was verified. The end of others does not matter.
    """
    if not certificate:
        return datetime.max.replace(tzinfo=UTC)
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)


def old_context() -> ssl.SSLContext:
    """Return a TLS context that speaks only TLS 1.0 and 1.1, which were given up, and accepts any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return context
