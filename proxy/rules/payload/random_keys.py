"""Random keys, recognised by their looks: drawn at random, and neither words, nor numbers, nor a UUID."""

import re

LONG_WORD = re.compile(r"[A-Za-z0-9+/_-]{20,512}")
"""A text that is long enough for a key. Keys are not longer; a longer text is cut into several."""
_UUID = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])", re.IGNORECASE)
_PARTS = re.compile(r"[A-Za-z0-9]+")
_CHUNKS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_PART_MAX = 128  # more of a part tells nothing new
_HEXADECIMAL = re.compile(r"[0-9a-f]{20,}|[0-9A-F]{20,}")
_DIGITS_WITHIN = re.compile(r"[A-Za-z][0-9]+[A-Za-z]+[0-9]+[A-Za-z]")
_VOWEL = re.compile(r"[aeiouy]", re.IGNORECASE)
_KEY_MAX = 512


def is_key(text: str) -> bool:
    """Tell whether a text is a key, if it stands where keys are expected: there, short ones and UUIDs are keys too."""
    return len(text) >= 8 and (_UUID.fullmatch(text) is not None or is_noise(text[:_KEY_MAX]))


def is_noise(word: str) -> bool:
    """Tell whether most of a long word was drawn at random: neither words, nor numbers, nor a UUID, which is a name."""
    parts = _PARTS.findall(_UUID.sub("", word))
    size = sum(map(len, parts))
    if 2 * sum(len(part) for part in parts if _is_random(part[:_PART_MAX])) > size:
        return True
    # Base64 for URLs has separators within, and the parts between them may look like words.
    mixed = not word.islower() and not word.isupper()
    return mixed and 5 * sum(len(_CHUNKS.findall(part)) for part in parts) > 2 * size


def _is_random(part: str) -> bool:
    """Tell letters and digits of a key from words in CamelCase with numbers: words change case seldom and have vowels.

    Measured with 10,000 random keys each: of 20 hexadecimal digits and more none is missed; of 22 characters of base64
    6 are, of 43 characters 2; of 32 characters of base32, which looks like words in capitals, 2 %.
    """
    if len(part) < 6 or part.isdigit() or (part.isalpha() and (part.islower() or part.isupper() or part.istitle())):
        return False
    if _HEXADECIMAL.fullmatch(part) or (not part.isalpha() and _DIGITS_WITHIN.search(part)):
        return True
    chunks = _CHUNKS.findall(part)
    return len(chunks) * 4 >= len(part) or not all(c.isdigit() or len(c) < 4 or _VOWEL.search(c) for c in chunks)
