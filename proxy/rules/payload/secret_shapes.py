"""Secrets, recognised by their shape: does a text hold what identifies a person, or gives access to something?

Only the text itself is looked at, with a bounded effort: a text that is too long, has too many candidates or comes when
its request's budget is spent is ``unread``, which is treated like a secret. Shapes that other things have too are
proved by their check digits (cards: Luhn, ISO/IEC 7812; accounts: mod 97, ISO 13616) or numbering plan. Not everything
can be decided: a telephone number without ``+``, ``00``, leading zero or separators is not told from other numbers, and
a national one with leading zero (10 or 11 digits) is not told from an ISBN-10.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Collection
from urllib.parse import unquote

from proxy.rules.effort import MOST_CANDIDATES, MOST_TEXT, Effort
from proxy.rules.payload.ascii_letters import in_ascii
from proxy.rules.payload.random_keys import LONG_WORD, is_noise
from proxy.rules.payload.shape_patterns import (
    ALL,
    BASE64,
    CERTAIN,
    EXACT,
    SUSPECTS,
    Proof,
    Shape,
    Suspect,
    has_suspects,
    has_suspects_of_ids,
)

SHORTEST = 6
"""Characters of the shortest text that holds a shape: ``a@b.de``."""
# Units of effort: for a coarse look, plus one for each 8 characters; for a candidate, plus two for each of its
# characters.
_LOOK = 30
_CANDIDATE = 40
_TO_URLSAFE = str.maketrans("+/", "-_")


class _TooMuchError(Exception):
    """Reading the text would take more effort than is allowed."""


def may_hold_shapes(text: str, *, is_id: bool = False) -> bool:
    """Tell whether a text, which may be several texts joined, may hold a shape; most do not.

    This is only the coarse look, and costs a microsecond; ``is_id`` as with ``shape_of``. For a long text that is not
    ASCII the answer is always yes.
    """
    looks = has_suspects_of_ids if is_id else has_suspects
    if text.isascii():
        return looks(text)
    encoded = text.encode(errors="replace")
    plain = encoded.decode()
    if looks(plain) or len(encoded) > MOST_TEXT:
        return True
    in_letters = in_ascii(plain)
    return in_letters is not plain and looks(in_letters)


def shape_of(text: str, effort: Effort, *, is_id: bool = False) -> Shape | None:
    """Return the first shape that a text holds: as it stands, percent-encoded (up to twice), or in base64.

    Args:
        text: Any text.
        effort: What is left of the request's budget.
        is_id: The text names a product or an order, so only what is certain by itself counts: shops number and name
            their goods in ways that look like cards, telephone numbers and tokens.
    """
    # Most texts are single words or names of members.
    if len(text) < SHORTEST or (text.islower() and text.replace("_", "").isalpha()):
        return None
    key = (text, is_id)
    shapes = effort.shapes
    if key not in shapes:
        if effort.left < 0:
            return Shape.UNREAD
        shapes[key] = _read(text, effort, CERTAIN if is_id else ALL)
    found: Shape | None = shapes[key]
    return found


def _read(text: str, effort: Effort, shapes: Collection[Suspect]) -> Shape | None:
    try:
        _spend(effort, _LOOK + len(text) // 8)
        return _found(text, effort, shapes)
    except _TooMuchError:
        return Shape.UNREAD


def _found(text: str, effort: Effort, shapes: Collection[Suspect]) -> Shape | None:
    if len(text) > MOST_TEXT:
        raise _TooMuchError
    looks = has_suspects if shapes is ALL else has_suspects_of_ids
    if text.isascii() and not looks(text):
        return None
    plain, suspects = _decoded(text, effort)
    if not suspects:
        return None
    found = _find_exact_shape(plain, suspects, effort, shapes)
    if found is None and Suspect.BASE64 in suspects:
        found = _find_base64_shape(plain, effort, shapes)
    if found is None and Suspect.LONG_WORD in suspects and shapes is ALL:
        return Shape.TOKEN if _has_proven_match(LONG_WORD, plain, effort, lambda match: is_noise(match[0])) else None
    return found


def _decoded(text: str, effort: Effort) -> tuple[str, Collection[int]]:
    """Return a text without percent-encoding, compatible characters as ASCII, and the suspects in it."""
    if not text.isascii():
        _spend(effort, len(text))
        text = in_ascii(text)
    suspects = _suspects(text)
    if Suspect.ENCODED in suspects:
        _spend(effort, 2 * len(text))
        text = in_ascii(unquote(unquote(text)))
        suspects = _suspects(text)
    return text, suspects


def _suspects(text: str) -> Collection[int]:
    return SUSPECTS.Match(text.encode(errors="replace")) or ()


def _find_exact_shape(
    plain: str, suspects: Collection[int], effort: Effort, shapes: Collection[Suspect]
) -> Shape | None:
    for suspect in shapes:
        if suspect in suspects:
            shape, pattern, proof = EXACT[suspect]
            if _has_proven_match(pattern, plain, effort, proof):
                return shape
    return None


def _find_base64_shape(plain: str, effort: Effort, shapes: Collection[Suspect]) -> Shape | None:
    found: list[Shape] = []

    def holds(match: re.Match[str]) -> bool:
        text = _from_base64(match[0])
        shape = _find_exact_shape(text, _suspects(text), effort, shapes) if text else None
        found.extend([shape] if shape else [])
        return shape is not None

    return found[0] if _has_proven_match(BASE64, plain, effort, holds) else None


def _from_base64(word: str) -> str:
    text = word.translate(_TO_URLSAFE)
    try:
        decoded = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return ""
    return decoded if decoded.isprintable() else ""


def _has_proven_match(pattern: re.Pattern[str], text: str, effort: Effort, proof: Proof) -> bool:
    """Tell whether any candidate is proved, of a bounded number of candidates."""
    _spend(effort, len(text))
    for number, match in enumerate(pattern.finditer(text)):
        if number == MOST_CANDIDATES:
            raise _TooMuchError
        _spend(effort, _CANDIDATE + 2 * (match.end(match.lastindex or 0) - match.start()))
        if proof(match):
            return True
    return False


def _spend(effort: Effort, units: int) -> None:
    effort.left -= units
    if effort.left < 0:
        raise _TooMuchError
