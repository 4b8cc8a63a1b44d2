"""The consent managers (CMPs) that the tag can ask, one row each.

The names that ``consent_from`` accepts, the keys of ``[site.cmp]`` and what an adapter is told all follow from this
table. A new consent manager is a row here, an adapter of the same name in ``static/consent/`` with its stand-in in
``tests/browser/cmps.py``, and its lines in ``docs/consent.md``, ``docs/configuration.md`` and ``config.example.toml``;
tests hold these together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

_Name = Annotated[str, Field(min_length=1)]
_NumberOrNone = Annotated[int, Field(strict=True, ge=0)]
_Number = Annotated[int, Field(strict=True, ge=1)]
# TCF 2.2 and 2.3 define purposes 1 to 11 (IAB Europe, TCF Policies, appendix A).
_Purposes = Annotated[tuple[Annotated[int, Field(strict=True, ge=1, le=11)], ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Option:
    """One key of ``[site.cmp]``."""

    name: str
    kind: Any
    """Its type, as pydantic reads it."""
    default: object
    description: str
    """What is accepted, for error messages."""
    required: bool = False
    """Whether the consent manager cannot be asked while the option is empty."""


@dataclass(frozen=True, slots=True)
class ConsentManager:
    """One product or standard that knows what the visitor answered."""

    name: str
    options: tuple[Option, ...] = ()
    """What its adapter is told: the value of one option, or the list of several."""

    @property
    def adapter(self) -> str:
        """The built file in ``static/`` that asks it."""
        return f"consent/{self.name}.min.js"


_ROWS = (
    ConsentManager("axeptio", (Option("axeptio_vendor", _Name, "facebook_pixel", "the name of an Axeptio vendor"),)),
    ConsentManager("borlabs", (Option("borlabs_service", str, "", "the id of a Borlabs service", required=True),)),
    ConsentManager("complianz"),
    ConsentManager(
        "consent_mode",
        (
            Option(
                "consent_mode_layer",
                Annotated[str, Field(pattern=r"^[\w$]+$")],
                "dataLayer",
                "the name of Google's data layer",
            ),
        ),
    ),
    ConsentManager("cookiebot"),
    ConsentManager("cookiefirst"),
    ConsentManager("cookieyes"),
    ConsentManager(
        "didomi",
        (Option("didomi_vendor", str, "", 'the id of a Didomi vendor, such as "c:facebook-abc"', required=True),),
    ),
    ConsentManager("gpp"),
    ConsentManager("iubenda", (Option("iubenda_purpose", _Number, 5, "the number of an iubenda purpose"),)),
    ConsentManager("klaro", (Option("klaro_service", str, "", "the name of a Klaro service", required=True),)),
    ConsentManager("onetrust", (Option("onetrust_group", _Name, "C0004", "the id of a OneTrust group"),)),
    ConsentManager("osano"),
    ConsentManager("shopify"),
    ConsentManager(
        "tarteaucitron",
        (Option("tarteaucitron_service", _Name, "facebookpixel", "the key of a tarteaucitron service"),),
    ),
    ConsentManager(
        "tcf",
        (
            Option("tcf_purposes", _Purposes, (1, 3, 4, 7), "a list of TCF purposes, 1 to 11, that all need consent"),
            Option("tcf_vendor", _NumberOrNone, 0, "a vendor's number in the IAB's list; 0: no vendor is looked at"),
            Option("tcf_provider", _NumberOrNone, 0, "a number in Google's list of ad technology providers; 0: none"),
        ),
    ),
    ConsentManager("trustarc", (Option("trustarc_category", _Number, 3, "the number of a TrustArc category"),)),
    ConsentManager(
        "usercentrics",
        (Option("usercentrics_service", str, "", "the name of a service; empty: all of the category marketing"),),
    ),
    ConsentManager("wordpress"),
)

CONSENT_MANAGERS: Mapping[str, ConsentManager] = {row.name: row for row in _ROWS}


def consent_manager_name(value: str) -> str:
    """Return the name of a consent manager of the table.

    Raises:
        ValueError: when the table has none of this name.
    """
    if value not in CONSENT_MANAGERS:
        raise ValueError("not a consent manager")
    return value
