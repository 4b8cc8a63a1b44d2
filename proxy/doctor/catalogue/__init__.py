"""All possible findings by their codes, in the groups in which they are shown."""

from collections.abc import Mapping
from types import MappingProxyType

from proxy.doctor.catalogue import configuration, database, graph, machine, names, page, round_trip, tag, tls
from proxy.doctor.catalogue.row import CatalogueRow

GROUPS: Mapping[str, Mapping[str, CatalogueRow]] = MappingProxyType(
    {
        "configuration": configuration.ROWS,
        "machine": machine.ROWS,
        "database": database.ROWS,
        "names": names.ROWS,
        "tls": tls.ROWS,
        "tag": tag.ROWS,
        "page": page.ROWS,
        "round_trip": round_trip.ROWS,
        "graph": graph.ROWS,
    }
)
"""Rows by group and code."""
ROWS: Mapping[str, CatalogueRow] = MappingProxyType(
    {code: row for rows in GROUPS.values() for code, row in rows.items()}
)
GROUP_OF: Mapping[str, str] = MappingProxyType({code: group for group, rows in GROUPS.items() for code in rows})
