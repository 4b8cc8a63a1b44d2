"""Raw values as pages and servers give them: which are text, which mean nothing, which are hashed already."""

import hashlib
import re
import unicodedata

MAX_LENGTH = 512
"""The most characters of a usable value."""

_UNENCODABLE = re.compile(r"[\ud800-\udfff]")
NOTHINGS = frozenset({"", "null", "undefined", "none", "n/a", "nan", "[object object]"})
"""Words that say nothing, in lower case."""
mark_in = re.compile(r"[{\[%]").search
"""Finds a character that every text left unfilled by a template or a script contains."""
_LONGEST_NOTHING = len("undefined")
_UNFILLED = re.compile(r"\{\{|\$\{|\[object \w+\]|\A%.*%$", re.IGNORECASE | re.DOTALL)
# The appendix of 2 or 8 characters is how Meta's own libraries sign what they hashed.
_SHA256 = re.compile(r"([0-9a-f]{64})((?:\.[0-9a-z_-]{2}|\.[0-9a-z_-]{8})?)", re.IGNORECASE | re.ASCII)
SHORTEST_DIGEST = 32
_MD5 = re.compile(r"[0-9a-f]{32}", re.IGNORECASE | re.ASCII)
# SHA-1, SHA-224, SHA-384 and SHA-512.
_OTHER_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{96}|[0-9a-f]{128}", re.IGNORECASE | re.ASCII)


def sha256(text: str) -> str:
    """Return the hash of the text's UTF-8 form in lower-case hex."""
    return hashlib.sha256(text.encode()).hexdigest()


# Hashes of words for nothing, which would match everybody whose value is missing. Shops number their guests 0.
_HASHES_OF_NOTHING = frozenset(
    sha256(text)
    for text in (*NOTHINGS, "Null", "NULL", "Undefined", "None", "NONE", "N/A", "NaN", "NAN", "[object Object]", "0")
) | {"d41d8cd98f00b204e9800998ecf8427e"}


def as_text(value: object, *, numeric: bool) -> str | None:
    """Return trimmed text, "" for null, None for what is no text; numbers are text where ``numeric``."""
    if isinstance(value, str):
        return trim(value)
    if numeric and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**20:
        return str(value)
    return "" if value is None else None


def trim(text: str) -> str:
    """Return the text without blanks around it, the zero-width ones too that copying from a page brings."""
    return text.strip() if text.isascii() else text.strip().strip("\u200b\ufeff").strip()


def bare(text: str) -> str:
    """Return the letters, accents and digits of the text, lower-case and composed (NFC), without blanks between."""
    if text.isascii() and text.isalnum():
        return text.lower()
    lower = unicodedata.normalize("NFC", text).lower()
    return unicodedata.normalize("NFC", "".join(c for c in lower if unicodedata.category(c)[0] in "LMN"))


def is_nothing(text: str) -> bool:
    """Tell whether trimmed text is empty, a word such as "null", or was left unfilled by a template or a script."""
    if mark_in(text):
        return _UNFILLED.search(text) is not None
    return len(text) <= _LONGEST_NOTHING and text.lower() in NOTHINGS


def is_usable(text: str) -> bool:
    """Tell whether trimmed text means something, is not too long, and can be encoded as UTF-8."""
    return len(text) <= MAX_LENGTH and (text.isascii() or not _UNENCODABLE.search(text)) and not is_nothing(text)


def read_value(value: object, *, numeric: bool, is_id: bool) -> str | tuple[str, ...] | None:
    """Read a value of a hashed key.

    Args:
        value: What the page gave.
        numeric: Whether it may be a number.
        is_id: Whether it is an id, which may look like a hash.

    Returns:
        Trimmed text that is to be hashed; a tuple with the hash, if the value is one; an empty tuple for an empty
        value; or None for an unusable value.
    """
    text = as_text(value, numeric=numeric)
    if not text:
        return None if text is None else ()
    if is_hash(text):
        digest = passed_hash(text, is_id=is_id)
        return (digest,) if digest else None
    return text if (is_id or not is_other_digest(text)) and is_usable(text) else None


def is_hash(text: str) -> bool:
    """Tell whether the value looks like SHA-256 or MD5, so that it was hashed already."""
    return len(text) >= SHORTEST_DIGEST and (_SHA256.fullmatch(text) is not None or _MD5.fullmatch(text) is not None)


def is_other_digest(text: str) -> bool:
    """Tell whether a value looks like a hash of a kind that Meta does not know, so it is no name, place or number."""
    return len(text) >= 40 and _OTHER_DIGEST.fullmatch(text) is not None


def passed_hash(text: str, *, is_id: bool) -> str | None:
    """Return a hash in lower case, its appendix as it was; None if it is the hash of a word for nothing, or unusable.

    The Pixel and the SDKs pass MD5 through, but Meta documents only SHA-256: for contact data MD5 is unusable. An id of
    32 hex digits is just an id, and passes, because the Pixel sends it as it is.
    """
    digest, dot, appendix = text.partition(".")
    digest = digest.lower()
    if digest in _HASHES_OF_NOTHING or (len(digest) == 32 and not is_id):
        return None
    return digest + dot + appendix
