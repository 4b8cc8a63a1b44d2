"""An answer as HTTP/1.1 writes it (RFC 9112), where aiohttp does not."""

from http import HTTPStatus

from aiohttp.helpers import rfc822_formatted_time

from proxy.edge.exchange import HttpAnswer

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


def answer_bytes(answer: HttpAnswer, *, closes: bool = False) -> bytes:
    """Return an answer with its head; ``closes`` says in it that no other follows on the connection.

    Raises:
        ValueError: when a header holds what would end its line.
    """
    lines = [_STATUS_LINES[answer.status]]
    lines += [f"{name}: {value}\r\n" for name, value in answer.headers.items()]
    lines += [f"Set-Cookie: {cookie}\r\n" for cookie in answer.cookies]
    if answer.status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {len(answer.body)}\r\n")
    lines.append(f"Date: {rfc822_formatted_time()}\r\n")
    if closes:
        lines.append("Connection: close\r\n")
    head = "".join(lines)
    if not head.count("\r") == head.count("\n") == len(lines) or "\0" in head:
        raise ValueError("a header of an answer holds a line break")
    return head.encode() + b"\r\n" + answer.body
