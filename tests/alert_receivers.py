"""Receivers of alerts for tests: real servers on loopback that accept messages, refuse them or hang."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from servers import served

USER, PASSWORD = "mailer-KEEP-OUT", "smtp-password-KEEP-OUT"
HOOK_SECRET = "T000-B000-hook-KEEP-OUT"


@dataclass
class Hook:
    """A webhook: what it received, and how it answers."""

    url: str = ""
    status: int = 200
    said: str = "ok"
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False
    bodies: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        body = await request.json()
        if self.hangs:
            await asyncio.Event().wait()
        if 200 <= self.status < 300:
            self.bodies.append(body)
        return web.Response(status=self.status, text=self.said, headers=self.headers)


@asynccontextmanager
async def hook() -> AsyncIterator[Hook]:
    """Serve a webhook whose path contains its secret."""
    taken = Hook()
    app = web.Application()
    app.router.add_post(f"/services/{HOOK_SECRET}", taken.answer)
    async with served(app) as address:
        taken.url = f"{address}/services/{HOOK_SECRET}"
        yield taken


@dataclass
class MailServer:
    """A mail server: what it received, and how it answers."""

    port: int = 0
    answer: str = "250 taken"
    letters: list[EmailMessage] = field(default_factory=list)
    to: list[str] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            letter = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(letter, EmailMessage)
            self.letters.append(letter)
            self.to += envelope.rcpt_tos
        return self.answer


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1 that only the test trusts."""

    path: Path

    @property
    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context

    @property
    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.path)


def certificate(directory: Path) -> Certificate:
    """Make a certificate in a directory."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(address, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = directory / "mail.pem"
    path.write_bytes(key.private_bytes(*plain) + made.public_bytes(serialization.Encoding.PEM))
    return Certificate(path)


@asynccontextmanager
async def mail_server(
    *, starttls: Certificate | None = None, tls: Certificate | None = None
) -> AsyncIterator[MailServer]:
    """Serve SMTP on a free port of loopback; after STARTTLS only ``USER`` may send mail."""

    def login(*arguments: Any) -> AuthResult:
        given = arguments[-1]
        good = isinstance(given, LoginPassword) and given.password == PASSWORD.encode()
        return AuthResult(success=good and given.login == USER.encode(), handled=False)

    taken, loop = MailServer(), asyncio.get_running_loop()

    def protocol() -> SMTP:
        return SMTP(
            taken,
            tls_context=starttls.server if starttls else None,
            require_starttls=bool(starttls),
            auth_required=bool(starttls),
            authenticator=login if starttls else None,
            auth_require_tls=bool(starttls),
            loop=loop,
        )

    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls.server if tls else None)
    taken.port = server.sockets[0].getsockname()[1]
    try:
        yield taken
    finally:
        server.close()
        await server.wait_closed()
