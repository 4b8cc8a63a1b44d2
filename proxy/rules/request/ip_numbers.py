"""IP addresses as numbers: read and written as ``ipaddress`` does it, at a fifth of what its objects cost."""

import re
from ipaddress import IPv6Address
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton  # they turn text into bytes and back, and open no socket
from typing import NamedTuple

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_FOUR = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
# IPv6 without an IPv4 address at its end. Groups have at most four digits: C libraries differ in how they read longer
# ones.
_SIX = re.compile(r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,8}")
# IPv4-mapped addresses begin so (RFC 4291, 2.5.5).
_MAPPED = 0xFFFF


class IpNumber(NamedTuple):
    """An address as a number."""

    version: int
    """4 or 6."""
    number: int
    text: str
    """Its shortest form (RFC 5952)."""


def ip_number(text: str) -> IpNumber | None:
    """Read an address without port, brackets or zone; None for other text. IPv4-mapped IPv6 becomes IPv4."""
    if _FOUR.fullmatch(text):
        return IpNumber(4, int.from_bytes(inet_pton(AF_INET, text)), text)
    if not _SIX.fullmatch(text):
        return _with_four_in_six(text)
    try:
        packed = inet_pton(AF_INET6, text)
    except OSError:
        return None
    number = int.from_bytes(packed)
    front = number >> 32
    if front == _MAPPED:
        return IpNumber(4, number & 0xFFFFFFFF, inet_ntop(AF_INET, packed[12:]))
    # If the front is all zeros, the C library would write the rest as IPv4.
    return IpNumber(6, number, inet_ntop(AF_INET6, packed) if front else str(IPv6Address(number)))


def _with_four_in_six(text: str) -> IpNumber | None:
    """Read an IPv6 address whose end is written as IPv4 (RFC 4291, 2.2); None for other text."""
    if "%" in text or "." not in text:
        return None
    try:
        six = IPv6Address(text)
    except ValueError:
        return None
    four = six.ipv4_mapped
    return IpNumber(4, int(four), str(four)) if four else IpNumber(6, int(six), str(six))
