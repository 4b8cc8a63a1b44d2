"""Secrets by their shape: does a text hold what identifies or admits somebody?

Everything is told from the text alone, with a bounded effort: a text that is too long, has too many candidates or comes
when its request's budget is spent is ``unread``, which is treated like a secret. Shapes that other things have too are
proved by their check digits (cards: Luhn, ISO/IEC 7812; accounts: mod 97, ISO 13616) or numbering plan. What is left to
doubt: a telephone number without ``+``, ``00``, leading zero or separators is not told from other numbers, and a
national one with leading zero (10 or 11 digits) is not told from an ISBN-10.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Collection
from enum import IntEnum, StrEnum
from urllib.parse import unquote

import re2

from proxy.rules.effort import MOST_CANDIDATES, MOST_TEXT, Effort
from proxy.rules.payload.ascii_letters import in_ascii
from proxy.rules.payload.random_keys import LONG_WORD, is_key, is_noise
from proxy.rules.payload.shape_proofs import COUNTRIES, is_account, is_called, is_card, is_national, is_position

__all__ = ["Shape", "is_key", "may_hold_shapes", "shape_of"]


class Shape(StrEnum):
    """What was found; also its metric label."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    JWT = "jwt"
    COORDINATES = "coordinates"
    TOKEN = "token"  # noqa: S105 - a word
    UNREAD = "unread"


# Four characters of base64 that stand for three printable ASCII characters.
_BASE64_OF_ASCII = r"[I-Za-f][C-HS-Xi-ny-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-]"
_GAP = "[ ()./_-]{0,3}"
_SHORTEST = 6  # a@b.de
# Units of effort: for a coarse look, beside one for 8 characters; for a candidate, beside two for each of its own.
_LOOK = 30
_CANDIDATE = 40


class _Suspect(IntEnum):
    """What a text may hold by the coarse patterns below, in their order."""

    ENCODED = 0
    MAIL = 1
    JWT = 2
    ACCOUNT = 3
    WITH_PLUS = 4
    WITH_ZEROS = 5
    NATIONAL = 6
    NORTH_AMERICAN = 7
    CARD = 8
    COORDINATES = 9
    BASE64 = 10
    LONG_WORD = 11


# What every text of a shape has at least; RE2 looks for all of it in one pass, at a cost that is the length's alone.
_FRONT = "(?:^|[^0-9A-Za-z])"
_COARSE = {
    _Suspect.ENCODED: "%",
    _Suspect.MAIL: "@",
    _Suspect.JWT: r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{2}",
    _Suspect.ACCOUNT: rf"{_FRONT}(?i:{'|'.join(COUNTRIES)})[0-9]{{2}}(?:[ -]?[A-Za-z0-9]){{11}}",
    _Suspect.WITH_PLUS: rf"{_FRONT}\+[ (]{{0,2}}[1-9](?:{_GAP}[0-9]){{7}}",
    _Suspect.WITH_ZEROS: rf"{_FRONT}00[1-9](?:{_GAP}[0-9]){{7}}",
    _Suspect.NATIONAL: rf"{_FRONT}0[1-9](?:{_GAP}[0-9]){{7}}",
    _Suspect.NORTH_AMERICAN: rf"{_FRONT}[2-9][0-9]{{2}}(?:\) ?|[ .-])[2-9][0-9]{{2}}[ .-][0-9]{{4}}",
    _Suspect.CARD: r"(?:^|[^0-9])[2-6][0-9]{3}(?:[ -]?[0-9]){10}",
    _Suspect.COORDINATES: r"(?:^|[^0-9.])[0-9]{1,3}\.[0-9]{3,17}[^0-9A-Za-z.-]{1,3}-?[0-9]{1,3}\.[0-9]{3}",
    _Suspect.BASE64: rf"(?:^|[^A-Za-z0-9+/_-]){_BASE64_OF_ASCII}[A-Za-z0-9+/_-]{{4}}",
    _Suspect.LONG_WORD: "[A-Za-z0-9+/_-]{20}",
}


def _coarse(patterns: Collection[str]) -> re2.Set:
    found = re2.Set.SearchSet()
    for pattern in patterns:
        found.Add(pattern)
    found.Compile()
    return found


_SUSPECTS = _coarse([_COARSE[suspect] for suspect in _Suspect])

# One character before the at sign is proof enough; looking for more of them would cost time squared. Pictures for
# dense screens are named logo@2x.png.
_MAIL = re.compile(r"[^\s@/]@(?![1-9]x\.(?:png|jpe?g|webp|avif|gif|svg))[^\s@/]+\.[^\W\d_]{2}")
_WITH_PLUS = re.compile(rf"(?<![0-9A-Za-z])\+[ (]{{0,2}}[1-9](?:{_GAP}[0-9]){{7,13}}(?![0-9])")
_WITH_ZEROS = re.compile(rf"(?<![0-9A-Za-z])00([1-9](?:{_GAP}[0-9]){{7,13}})(?![0-9])")
_NATIONAL = re.compile(rf"(?<![0-9A-Za-z])(?<![0-9][.,-])\(?(0[1-9](?:{_GAP}[0-9]){{7,10}})(?![0-9])")
_NORTH_AMERICAN = re.compile(
    r"(?<![0-9A-Za-z])(?<![0-9][.,-])(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])"
    r"[2-9][0-9]{2}[ .-][0-9]{4}(?![0-9])"
)
_CARD = re.compile(
    r"(?<![0-9])(?<![0-9][.,])"
    r"(?:[2-6][0-9]{13,18}|[2-6][0-9]{3}(?:[ -][0-9]{4}){3}|3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5})(?![0-9])"
)
_ACCOUNT = re.compile(
    rf"(?<![A-Za-z0-9])(?=((?i:{'|'.join(COUNTRIES)})[0-9]{{2}}(?:[ -]?[A-Za-z0-9]){{11,30}}))", re.ASCII
)
_JWT = re.compile("eyJ")  # what the coarse pattern finds is one
# Three decimals are a hundred metres.
_COORDINATES = re.compile(
    r"(?<![0-9.])(-?[0-9]{1,3}\.[0-9]{3,17})[^0-9A-Za-z.-]{1,3}(-?[0-9]{1,3}\.[0-9]{3,17})(?!\.?[0-9])"
)
_BASE64 = re.compile(rf"(?<![A-Za-z0-9+/_-]){_BASE64_OF_ASCII}[A-Za-z0-9+/_-]{{4,}}")
_TO_URLSAFE = str.maketrans("+/", "-_")

_CERTAIN = (_Suspect.MAIL, _Suspect.JWT, _Suspect.ACCOUNT, _Suspect.WITH_PLUS)
_ALL = (
    *_CERTAIN,
    *(_Suspect.CARD, _Suspect.COORDINATES, _Suspect.WITH_ZEROS, _Suspect.NATIONAL, _Suspect.NORTH_AMERICAN),
)
_SUSPECTS_OF_IDS = _coarse([_COARSE[suspect] for suspect in (*_CERTAIN, _Suspect.ENCODED, _Suspect.BASE64)])
_Proof = Callable[[re.Match[str]], bool]
# Suspect → the shape it may be, the exact pattern, what proves a match of it.
_EXACT: dict[_Suspect, tuple[Shape, re.Pattern[str], _Proof]] = {
    _Suspect.MAIL: (Shape.EMAIL, _MAIL, lambda _: True),
    _Suspect.JWT: (Shape.JWT, _JWT, lambda _: True),
    _Suspect.ACCOUNT: (Shape.IBAN, _ACCOUNT, lambda match: is_account(match[1])),
    _Suspect.WITH_PLUS: (Shape.PHONE, _WITH_PLUS, lambda _: True),
    _Suspect.CARD: (Shape.CARD, _CARD, lambda match: is_card(match[0])),
    _Suspect.COORDINATES: (Shape.COORDINATES, _COORDINATES, lambda match: is_position(*match.groups())),
    _Suspect.WITH_ZEROS: (Shape.PHONE, _WITH_ZEROS, lambda match: is_called(match[1])),
    _Suspect.NATIONAL: (Shape.PHONE, _NATIONAL, lambda match: is_national(match[1])),
    _Suspect.NORTH_AMERICAN: (Shape.PHONE, _NORTH_AMERICAN, lambda _: True),
}


class _TooMuchError(Exception):
    """More cannot be read."""


def may_hold_shapes(text: bytes, *, is_id: bool = False) -> bool:
    """Tell whether any of many texts, written one after another in UTF-8, may hold a shape; most do not.

    It is the coarse look alone, and costs microseconds; ``is_id`` as with ``shape_of``. Where much is not ASCII, the
    answer is yes.
    """
    suspects = _SUSPECTS_OF_IDS if is_id else _SUSPECTS
    if suspects.Match(text):
        return True
    if text.isascii():
        return False
    return len(text) > MOST_TEXT or bool(suspects.Match(in_ascii(text.decode(errors="replace")).encode()))


def shape_of(text: str, effort: Effort, *, is_id: bool = False) -> Shape | None:
    """Return the first shape that a text holds: as it stands, percent-encoded (up to twice), or in base64.

    Args:
        text: Any text.
        effort: What is left of the request's budget.
        is_id: The text names a product or an order, so only what is certain by itself counts: shops number and name
            their goods in ways that look like cards, telephone numbers and tokens.
    """
    # Words and names of members are most of all texts.
    if len(text) < _SHORTEST or (text.islower() and text.replace("_", "").isalpha()):
        return None
    known = (text, is_id)
    if known not in effort.shapes:
        if effort.left < 0:
            return Shape.UNREAD
        effort.shapes[known] = _read(text, effort, _CERTAIN if is_id else _ALL)
    found = effort.shapes[known]
    return None if found is None else Shape(found)


def _read(text: str, effort: Effort, shapes: Collection[_Suspect]) -> Shape | None:
    try:
        _spend(effort, _LOOK + len(text) // 8)
        return _found(text, effort, shapes)
    except _TooMuchError:
        return Shape.UNREAD


def _found(text: str, effort: Effort, shapes: Collection[_Suspect]) -> Shape | None:
    if len(text) > MOST_TEXT:
        raise _TooMuchError
    plain, suspects = _decoded(text, effort)
    if not suspects:
        return None
    found = _exactly(plain, suspects, effort, shapes)
    if found is None and _Suspect.BASE64 in suspects:
        found = _in_base64(plain, effort, shapes)
    if found is None and _Suspect.LONG_WORD in suspects and shapes is _ALL:
        return Shape.TOKEN if _each(LONG_WORD, plain, effort, lambda match: is_noise(match[0])) else None
    return found


def _decoded(text: str, effort: Effort) -> tuple[str, Collection[int]]:
    """Return a text without percent-encoding, compatible characters as ASCII, and what it may hold."""
    if not text.isascii():
        _spend(effort, len(text))
        text = in_ascii(text)
    suspects = _suspects(text)
    if _Suspect.ENCODED in suspects:
        _spend(effort, 2 * len(text))
        text = in_ascii(unquote(unquote(text)))
        suspects = _suspects(text)
    return text, suspects


def _suspects(text: str) -> Collection[int]:
    return _SUSPECTS.Match(text.encode(errors="replace")) or ()


def _exactly(plain: str, suspects: Collection[int], effort: Effort, shapes: Collection[_Suspect]) -> Shape | None:
    for suspect in shapes:
        if suspect in suspects:
            shape, pattern, proof = _EXACT[suspect]
            if _each(pattern, plain, effort, proof):
                return shape
    return None


def _in_base64(plain: str, effort: Effort, shapes: Collection[_Suspect]) -> Shape | None:
    found: list[Shape] = []

    def holds(match: re.Match[str]) -> bool:
        text = _from_base64(match[0])
        shape = _exactly(text, _suspects(text), effort, shapes) if text else None
        found.extend([shape] if shape else [])
        return shape is not None

    return found[0] if _each(_BASE64, plain, effort, holds) else None


def _from_base64(word: str) -> str:
    text = word.translate(_TO_URLSAFE)
    try:
        decoded = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return ""
    return decoded if decoded.isprintable() else ""


def _each(pattern: re.Pattern[str], text: str, effort: Effort, proof: _Proof) -> bool:
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
    if not effort.spend(units):
        raise _TooMuchError
