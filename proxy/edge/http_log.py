"""What the HTTP server may log of strangers: that a request was malformed, never its bytes."""

import logging

from aiohttp.http_exceptions import HttpProcessingError


class _NoBytes(logging.Filter):
    """Turns aiohttp's traceback of a malformed request, which quotes the request, into one word."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.msg, record.args = "a malformed request was refused: %s", (type(error).__name__,)
            record.exc_info = record.exc_text = None
        return True


server_log = logging.getLogger("proxy.http")
server_log.addFilter(_NoBytes())
