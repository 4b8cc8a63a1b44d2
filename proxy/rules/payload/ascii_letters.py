"""Letters, digits and marks that stand for ASCII characters: full-width, mathematical, superscript ones.

They are replaced as NFKC (Unicode, UAX #15) does it, but character by character, and only if the result is ASCII: NFKC
itself may make 18 characters of one, and its other results cannot be part of a shape.
"""

import re
import unicodedata
from itertools import chain

# Where Unicode has compatibility characters and digits: the basic plane without Han, Hangul and surrogates, and the
# mathematical and enclosed ones above it.
_PLACES = (range(0x80, 0x3400), range(0xA000, 0xAC00), range(0xF900, 0x10000), range(0x10000, 0x12000))
_ABOVE = (range(0x1D400, 0x1D800), range(0x1F100, 0x1F200), range(0x1FBF0, 0x1FBFA))


def _meaning(code: int) -> str:
    character = chr(code)
    digit = unicodedata.decimal(character, None)
    plain = unicodedata.normalize("NFKC", character) if digit is None else str(digit)
    return plain if plain.isascii() else ""


_ASCII = {code: plain for code in chain(*_PLACES, *_ABOVE) if (plain := _meaning(code))}


# Most texts hold none of these, and looking for them takes a fraction of the time of rewriting the text. All characters
# beyond the basic plane are looked for as one range: with one of them in the set, ``re`` would search the set as a
# list.
_MEANING = re.compile(f"[{re.escape(''.join(chr(code) for code in _ASCII if code < 0x10000))}]")
_BEYOND = re.compile("[\U00010000-\U0010ffff]")


def in_ascii(text: str) -> str:
    """Return the text with each character that stands for ASCII replaced by it; all others stay."""
    if text.isascii() or not (_MEANING.search(text) or _BEYOND.search(text)):
        return text
    return text.translate(_ASCII)
