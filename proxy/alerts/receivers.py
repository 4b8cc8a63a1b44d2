"""The receivers of alerts: webhooks and e-mail. Every outcome, errors too, becomes an answer in our words.

A receiver's address may be a secret, and its server may repeat the address: neither copy is shown or logged.
"""

import asyncio
import hashlib
import json
import socket
import ssl
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

import aiohttp
import aiosmtplib
from aiohttp import hdrs

from proxy import __version__
from proxy.alerts.message import Message
from proxy.alerts.shapes import hook_body, mail
from proxy.config.alerts import AlertHook, AlertMail, AlertSettings

TIMEOUT_S: Final = 20.0
"""How long one message may take, until its whole answer has come."""
_MOST_ANSWER = 2_000
_MOST_SHOWN = 200
_LONG_SECRET = 6
_PORTS = {"starttls": 587, "tls": 465, "none": 25}

_CAUSES: Final = {
    ssl.SSLCertVerificationError: "its certificate is not trusted",
    ssl.SSLError: "what answers does not speak TLS as it should",
    socket.gaierror: "its name leads nowhere",
    ConnectionRefusedError: "nothing listens there",
}


class ReceiverAnswer(NamedTuple):
    """Whether a receiver took a message, and how it answered."""

    taken: bool
    text: str
    """The answer in our words, with what the receiver said."""
    retry_seconds: float = 0.0
    """How many seconds the receiver asks to wait before the next message."""


class AlertReceiver(Protocol):
    """A receiver of messages."""

    @property
    def name(self) -> str:
        """The name of the receiver for people; holds no secret."""

    @property
    def key(self) -> str:
        """The key of the receiver in the stored state; holds no secret."""

    async def send(self, message: Message) -> ReceiverAnswer:
        """Send a message and return the answer; errors of the receiver are not raised."""


def receivers_of(settings: AlertSettings) -> list[AlertReceiver]:
    """Return the receivers of a configuration."""
    return [*map(HookReceiver, settings.webhook), *map(MailReceiver, settings.email)]


class HookReceiver:
    """A webhook to which messages are posted."""

    def __init__(self, settings: AlertHook) -> None:
        self._kind = settings.kind
        self._url = settings.url.get_secret_value()
        self.name = f"{settings.kind} {urlsplit(self._url).hostname or 'webhook'}"
        self.key = _key("hook", self._url)

    async def send(self, message: Message) -> ReceiverAnswer:
        """See ``AlertReceiver``."""
        try:
            async with asyncio.timeout(TIMEOUT_S), _session() as session:
                return await self._post(session, json.dumps(hook_body(self._kind, message)).encode())
        except TimeoutError:
            return ReceiverAnswer(False, f"no answer within {TIMEOUT_S:.0f} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return ReceiverAnswer(False, f"cannot be reached ({_cause(error)})")

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> ReceiverAnswer:
        headers = {hdrs.CONTENT_TYPE: "application/json", hdrs.USER_AGENT: f"capi-proxy/{__version__}"}
        # The target of a redirect is not the address that the owner configured.
        async with session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
            said = (await answer.content.read(_MOST_ANSWER)).decode(errors="replace")
            parts = urlsplit(self._url)
            secrets = (self._url, parts.path, parts.query, *parts.path.split("/"), parts.password or "")
            text = f"HTTP {answer.status}{_quoted(said, secrets)}"
            if 300 <= answer.status < 400:
                text = f"HTTP {answer.status}: redirects are not followed"
            taken = 200 <= answer.status < 300
            return ReceiverAnswer(taken, text, _seconds(answer.headers.get(hdrs.RETRY_AFTER, "")))


class MailReceiver:
    """People who get messages as e-mails by SMTP."""

    def __init__(self, settings: AlertMail, tls: ssl.SSLContext | None = None) -> None:
        """Store the server and the recipients.

        Args:
            settings: The server and the recipients.
            tls: The TLS context; without it, the certificates that this machine trusts are accepted.
        """
        self._settings = settings
        self._tls = tls
        self.name = f"email {settings.host}"
        self.key = _key("mail", settings.host, settings.sender, *settings.to)

    async def send(self, message: Message) -> ReceiverAnswer:
        """See ``AlertReceiver``."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                refused, said = await self._hand_over(message)
        except (TimeoutError, aiosmtplib.SMTPTimeoutError):
            return ReceiverAnswer(False, f"no answer within {TIMEOUT_S:.0f} s")
        except aiosmtplib.SMTPRecipientsRefused:
            return ReceiverAnswer(False, "the mail server refuses all recipients")
        except aiosmtplib.SMTPResponseException as error:
            return ReceiverAnswer(False, f"SMTP {error.code}{self._quoted(error.message)}")
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            # Only the text of the base class says that the server lacks STARTTLS or logins.
            lacks = str(error) if type(error) is aiosmtplib.SMTPException else ""
            return ReceiverAnswer(False, f"no SMTP connection ({lacks or _cause(error)})")
        if refused:
            return ReceiverAnswer(True, f"taken, but not for {len(refused)} of {len(self._settings.to)} recipients")
        return ReceiverAnswer(True, f"taken{self._quoted(said)}")

    async def _hand_over(self, message: Message) -> tuple[dict[str, aiosmtplib.SMTPResponse], str]:
        settings = self._settings
        # ``send`` would ask for the machine's full name, which may wait for DNS within the event loop.
        return await aiosmtplib.send(
            mail(message, settings),
            hostname=settings.host,
            port=settings.port or _PORTS[settings.security],
            username=settings.user.get_secret_value() or None,
            password=settings.password.get_secret_value() or None,
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            tls_context=self._tls,
            local_hostname=socket.gethostname() or "localhost",
            timeout=TIMEOUT_S,
        )

    def _quoted(self, said: str) -> str:
        settings = self._settings
        hidden = (settings.sender, *settings.to, settings.user.get_secret_value(), settings.password.get_secret_value())
        return _quoted(said, hidden)


def _cause(error: Exception) -> str:
    """Return in our words why there is no connection: an error's own text may hold the secret address."""
    causes = [getattr(error, "certificate_error", None), getattr(error, "os_error", None), error.__cause__, error]
    cause = next(cause for cause in causes if cause)
    return next((words for kind, words in _CAUSES.items() if isinstance(cause, kind)), type(cause).__name__)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), cookie_jar=aiohttp.DummyCookieJar())


def _key(kind: str, *texts: str) -> str:
    """Return the key of a receiver, a hash that reveals nothing of its address."""
    return f"{kind}-{hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]}"


def _quoted(said: str, secrets: Iterable[str]) -> str:
    """Return a colon and what a receiver said, without secrets and cut short; empty when it said nothing."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _LONG_SECRET:
            said = said.replace(secret, "…")
    text = "".join(c if c.isprintable() else " " for c in said).strip()[:_MOST_SHOWN]
    return f": {text}" if text else ""


def _seconds(retry_after: str) -> float:
    """Return the seconds of a ``Retry-After`` header, a day at most; 0 for a date or no header."""
    return float(min(int(retry_after), 86_400)) if retry_after.isdecimal() and len(retry_after) < 9 else 0.0
