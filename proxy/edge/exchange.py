"""What a door asks of HTTP and what it gives back, whatever server stands in front."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class BodyTooLargeError(Exception):
    """The body is longer than accepted."""


class BodyTooSlowError(Exception):
    """The body did not come within its time."""


class BodyLostError(Exception):
    """The client hung up, or its body cannot be read; ``__cause__`` is the server's own error."""


class HttpRequest(Protocol):
    """A request whose head has come; its body may still be on the way."""

    @property
    def method(self) -> str:
        """The method, in upper case."""

    @property
    def path(self) -> str:
        """The path, percent-decoded, without the query."""

    @property
    def query(self) -> str:
        """The query string as it came, without the question mark."""

    @property
    def peer(self) -> str:
        """The address at the other end of the connection; empty when it is not known."""

    @property
    def is_secure(self) -> bool:
        """Whether the connection itself is encrypted."""

    @property
    def size(self) -> int:
        """Bytes of the body as the head declares them; the most that are accepted where it does not."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by lower-case name: repeated lines are joined, and bytes that are not UTF-8 replaced."""

    @property
    def whole_body(self) -> bytes | None:
        """The whole body if it came with the head; None where ``body`` may have to wait for it."""

    async def body(self) -> bytes:
        """Return the whole body.

        Raises:
            BodyTooLargeError: when it is longer than accepted.
            BodyTooSlowError: when it comes too slowly.
            BodyLostError: when the client hung up, or the body cannot be read.
        """

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the body in pieces as they arrive, instead of calling ``body``; the caller has to limit its length.

        Raises:
            BodyTooSlowError: when it comes too slowly.
            BodyLostError: when the client hung up, or the body cannot be read.
        """


@dataclass(slots=True)
class HttpAnswer:
    """An answer, without the headers that the server adds to every answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    """All headers but the cookies; no name comes twice."""
    cookies: tuple[str, ...] = ()
    """The values of ``Set-Cookie``."""
