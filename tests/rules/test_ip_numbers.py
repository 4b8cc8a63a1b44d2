"""IP addresses are read and written as Python's own ``ipaddress`` does it."""

from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.rules.fairness import client_network
from proxy.rules.request.ip_numbers import IpNumber, ip_number


def _six(groups: list[int]) -> str:
    return ":".join(f"{group:x}" for group in groups)


GROUPS = st.lists(st.sampled_from(["", "", "0", "0", "0000", "1", "ab", "AB12", "ffff", "00001", "g", "1.2.3.4"]))
OCTETS = st.lists(st.sampled_from(["0", "1", "9", "10", "99", "100", "199", "255", "256", "01", "00", "", "\u0661"]))
TEXTS = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded),
    st.ip_addresses(v=6).map(lambda address: address.compressed.upper()),
    st.ip_addresses(v=4).map(lambda address: f"::ffff:{address}"),
    st.ip_addresses(v=4).map(lambda address: f"::{int(address) >> 16:x}:{int(address) & 0xFFFF:x}"),
    st.ip_addresses(v=4).map(lambda address: f"64:ff9b::{address}"),
    st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF]), min_size=8, max_size=8).map(_six),
    GROUPS.map(":".join),
    OCTETS.map(".".join),
    st.text(alphabet="01af:.%/[] \n", max_size=12),
)


def by_ipaddress(text: str) -> IpNumber | None:
    """Return the standard library's reading of a text; one with a zone is no address."""
    try:
        address = ip_address(text) if "%" not in text else None
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return IpNumber(address.version, int(address), str(address)) if address else None


@given(TEXTS)
@example("::")
@example("::1")
@example("::ffff:0:0")
@example("1:2:3:4:5:6:7::")
@example("1::2:3:4:5:6:7:8")
@example("::1.2.3.4")
@example("1.2.3.4\n")
@example("::1\n")
@settings(max_examples=2000)
def test_an_address_is_read_as_the_standard_library_reads_it(text: str) -> None:
    """Number and shortest form agree: with zeros, capitals, an IPv4 part at the end, and IPv4 mapped into IPv6."""
    assert ip_number(text) == by_ipaddress(text)


@pytest.mark.parametrize("text", ["fe80::1%eth0", "[::1]", "1.2.3.4:80", "", "shop.example", "1572395042", "0x7f.1"])
def test_what_is_more_or_less_than_an_address_is_none(text: str) -> None:
    """Zones, brackets and ports must be removed by the caller, who knows where they may stand."""
    assert ip_number(text) is None


@given(st.ip_addresses(v=6))
def test_a_client_is_told_by_half_of_its_address(address: IPv6Address) -> None:
    """An IPv6 client is its /64, whatever the zone; an IPv4 address that is mapped into IPv6 is itself."""
    network = str(address.ipv4_mapped) if address.ipv4_mapped else int(address) >> 64

    assert client_network(str(address)) == client_network(f"{address}%eth0") == network
