"""The address of a listener: ``host:port`` as a configuration writes it."""

import re
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

_EVERY_INTERFACE = {"0.0.0.0", "::"}
_WRITTEN = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<name>[^:\[\]]+)):(?P<port>[0-9]{1,5})")
_LAST_PORT = 65535


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """The address as it stands in a URL (RFC 3986, 3.2.2)."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def clashes_with(self, listener: "Address") -> bool:
        """Tell whether a process cannot listen on both addresses; with port 0 each gets a port of its own."""
        if not self.port or self.port != listener.port:
            return False
        same_family = (":" in self.host) == (":" in listener.host)
        return self.host == listener.host or (
            same_family and not _EVERY_INTERFACE.isdisjoint({self.host, listener.host})
        )

    @property
    def local_address(self) -> "Address":
        """The address by which this machine itself reaches the listener; ``[::]`` listens on IPv6 only."""
        return Address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port)


def address_of(value: object) -> Address:
    """Read ``host:port``, IPv6 in brackets.

    Raises:
        ValueError: when it is something else.
    """
    match = _WRITTEN.fullmatch(str(value))
    if match is None or int(match["port"]) > _LAST_PORT:
        raise ValueError("not an address")
    return Address(str(IPv6Address(match["ipv6"])) if match["ipv6"] else match["name"], int(match["port"]))
