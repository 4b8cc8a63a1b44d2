"""Sample files for the tests of the backfill, as programs and people write them. All values are made up."""

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import orjson

from proxy.backfill.claims import Claim, FileOptions, Line, NotSent
from proxy.backfill.source import Source

NOW = 1_800_000_000
"""2027-01-15 08:00:00 UTC."""

SHOPIFY = """\
Name,Email,Financial Status,Paid at,Fulfillment Status,Currency,Subtotal,Shipping,Taxes,Total,Created at,\
Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Billing Name,Billing City,Billing Zip,Billing Province,\
Billing Country,Notes,Cancelled at,Phone,Billing Phone,Id,Source
#2001,fern@plants.example,paid,2027-01-14 09:14:02 -0500,fulfilled,EUR,30.00,4.90,5.57,34.90,2027-01-14 09:13:58 -0500,\
2,"Fern, small",10.00,FERN-S,Fern Buyer,Köln,'05066,NW,DE,,,'+49 221 555010,'+49 221 555011,90071992547409931,web
#2001,,,,,,,,,,,1,Pot,10.00,POT-1,,,,,,,,,,,
#2001,,,,,,,,,,,1,Pot,10.00,POT-1,,,,,,,,,,,
#2002,moss@plants.example,pending,,unfulfilled,EUR,8.00,0,0,8.00,2027-01-14 10:00:00 -0500,\
1,Moss,8.00,MOSS,Moss Buyer,Bonn,53111,NW,DE,"two
lines",,,,90071992547409932,web
#2003,,paid,2026-12-20 12:00:00 +0100,fulfilled,EUR,5.00,0,0,5.00,2026-12-20 12:00:00 +0100,\
1,Seeds,5.00,SEED,Shop Guest,Bonn,53111,NW,DE,,,+49 228 555012,,90071992547409933,pos
#2004,ivy@plants.example,paid,2027-01-14 11:00:00 -0500,fulfilled,EUR,9.00,0,0,9.00,2027-01-14 11:00:00 -0500,\
1,Ivy,9.00,IVY,Ivy Buyer,Bonn,53111,NW,DE,,2027-01-14 12:00:00 -0500,,,90071992547409934,web
"""

WOOCOMMERCE = """\
Order Number;Order Status;Order Date;First Name (Billing);Last Name (Billing);City (Billing);State Code (Billing);\
Postcode (Billing);Country Code (Billing);Email (Billing);Phone (Billing);Customer User ID;Order Total Amount;\
Order Currency;SKU;Item Name;Quantity (- Refund);Item Cost
731;Processing;14.01.2027 10:05;Anna;Baum;Köln;NW;05066;DE;anna@plants.example;+49221555020;0;1.034,90;EUR;TREE;Baum;1;\
1.030,00
731;Processing;14.01.2027 10:05;Anna;Baum;Köln;NW;05066;DE;anna@plants.example;+49221555020;0;1.034,90;EUR;SOIL;Erde;2;\
2,45
732;On hold;14.01.2027 10:06;Bert;Blatt;Bonn;NW;53111;DE;bert@plants.example;;7;5,00;EUR;SEED;Samen;1;5,00
"""


def lines_of(content: bytes) -> Iterator[Line]:
    """Yield the lines of a file as the command reads them."""
    pieces = re.findall(rb"[^\n]*\n|[^\n]+", content)
    ends = accumulate(len(piece) for piece in pieces)
    for number, (piece, end) in enumerate(zip(pieces, ends, strict=True), 1):
        yield Line(number, piece.removesuffix(b"\n"), end)


def claims_of(
    content: bytes, name: str = "events.csv", encoding: str = "utf-8", **wishes: object
) -> list[Claim | NotSent]:
    """Return the claims of a file, or why a part is not sent."""
    return list(Source.of(name, lines_of(content), encoding, FileOptions(**wishes)).claims)  # type: ignore[arg-type]


def events_of(content: bytes, name: str = "events.csv", encoding: str = "utf-8", **wishes: object) -> list[Any]:
    """Return the events of a file, with the reason in place of an event that is not sent."""
    claims = claims_of(content, name, encoding, **wishes)
    return [claim.event if isinstance(claim, Claim) else claim.why for claim in claims]


def jsonl(*values: object) -> bytes:
    """Return a file with one JSON value on each line."""
    return b"".join(orjson.dumps(value) + b"\n" for value in values)
