"""Data processing options as pages give them to ``fbq`` (Meta, data processing options)."""

from typing import Any

# Meta's numbers for states have four digits.
_MAX_PLACE = 9999
_CAREFUL = (("LDU",), 0, 0)


def options_of(value: Any) -> tuple[tuple[str, ...], int, int]:
    """Return what a page gave: options, alone or with the numbers of a country and a state, 0 where it named none.

    What cannot be read counts as Limited Data Use, the careful answer.
    """
    match value:
        case [[] | ["LDU"] as options, *numbers]:
            country, state = (*map(_place, numbers), 0, 0)[:2]
            if country is not None and state is not None:
                return tuple(options), country, state
        case _:
            pass
    return _CAREFUL


def _place(number: Any) -> int | None:
    """Return the number of a country or state, which may come as text; 0 if it is missing, None if it is not valid."""
    if number is None:
        return 0
    if isinstance(number, str) and number.isascii() and number.isdecimal() and len(number) <= len(str(_MAX_PLACE)):
        number = int(number)
    return int(number) if isinstance(number, int) and 0 <= number <= _MAX_PLACE else None
