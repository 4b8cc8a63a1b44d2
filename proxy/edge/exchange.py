"""What a door asks of HTTP and what it gives back, whatever server stands in front."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class BodyTooLargeError(Exception):
    """The body is longer than accepted."""


class BodyTooSlowError(Exception):
    """The body did not come within its time."""


class BodyLostError(Exception):
    """The client hung up, or sent no body that can be read: the connection's business, which the cause describes."""


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
        """What stands behind the question mark, as it came."""

    @property
    def peer(self) -> str:
        """The address at the other end of the connection; empty when it is not known."""

    @property
    def is_secure(self) -> bool:
        """Whether the connection itself is encrypted."""

    @property
    def size(self) -> int:
        """Bytes of the body; the most there may be where it does not say."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their lower-case names: the lines of each joined, bytes that are no UTF-8 replaced."""

    @property
    def whole_body(self) -> bytes | None:
        """The whole body if it came with the head; None where ``body`` may have to wait for it."""

    async def body(self) -> bytes:
        """Return the whole body.

        Raises:
            BodyTooLargeError: when it is longer than accepted.
            BodyTooSlowError: when it comes too slowly.
            BodyLostError: when it will not come.
        """

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes, in place of ``body``; how long it may be is its reader's business.

        Raises:
            BodyTooSlowError: when it comes too slowly.
            BodyLostError: when it will not come.
        """


@dataclass(slots=True)
class HttpAnswer:
    """An answer, before the headers that HTTP itself asks for."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    """All but the cookies; none comes twice."""
    cookies: tuple[str, ...] = ()
    """The values of ``Set-Cookie``."""
