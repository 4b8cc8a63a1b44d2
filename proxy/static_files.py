"""Files shipped with the package, and answers prepared from them once at start."""

import gzip
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import brotli

_PACKAGE = Path(__file__).resolve().parent
_DIRECTORIES = (_PACKAGE / "static", _PACKAGE.parent / "static")


def static_names(pattern: str) -> Sequence[str]:
    """Return the names of files of ``static/`` that match a pattern, in order."""
    found = (path.name for directory in _DIRECTORIES for path in directory.glob(pattern))
    return sorted(set(found))


def static_file(name: str) -> bytes:
    """Return a file of ``static/``: within the installed package, or beside it in a checkout.

    Raises:
        FileNotFoundError: when the package is incomplete.
    """
    for directory in _DIRECTORIES:
        if (directory / name).is_file():
            return (directory / name).read_bytes()
    raise FileNotFoundError(f"static/{name} is missing: the installation is incomplete")


@dataclass(frozen=True, slots=True)
class Asset:
    """One body in the encodings browsers ask for."""

    bodies: Mapping[str, bytes]
    """By content coding; "" is the body itself."""
    etag: str
    """The same for all encodings, without quotes."""

    @classmethod
    def of(cls, body: bytes) -> "Asset":
        """Compress a body once, as small as it gets."""
        bodies = {"br": brotli.compress(body, quality=11), "gzip": gzip.compress(body, 9, mtime=0), "": body}
        return cls(bodies, hashlib.sha256(body).hexdigest()[:20])

    def choose(self, accepted: str) -> tuple[str, bytes]:
        """Return the best encoding an ``Accept-Encoding`` header allows, and the body in it."""
        offers = {part.partition(";")[0].strip(): part for part in accepted.lower().split(",")}
        refused = ("q=0", "q=0.0", "q=0.00", "q=0.000")  # RFC 9110, 12.4.2
        for coding in ("br", "gzip"):
            if coding in offers and not offers[coding].replace(" ", "").endswith(refused):
                return coding, self.bodies[coding]
        return "", self.bodies[""]
