"""Makes the ``Database`` of a url out of its parts."""

import os
import socket

from proxy.queue.postgres.database import Database
from proxy.queue.postgres.hosts import Hosts
from proxy.queue.postgres.schema import Schema
from proxy.queue.seal import Sealer

SCHEMA = "capi_proxy"


def make_database(
    url: str, sealer: Sealer, *, version: str = "", commit_timeout: float = 1.0, schema: str = SCHEMA
) -> Database:
    """Return the database of a url; it counts as away until it is started.

    Args:
        url: ``postgresql://user:password@host:port,host:port/database``.
        sealer: Must open what the other replicas seal.
        version: Of this program.
        commit_timeout: Seconds that an append may take.
        schema: Where our tables are.

    Raises:
        ValueError: when the url is not valid.
    """
    name = f"{socket.gethostname()}:{os.getpid()}"
    greeting = Schema(schema, sealer, replica_name=name, version=version)
    return Database(
        Hosts(url, schema=schema, name=f"capi-proxy/{name}"), greeting.register_replica, commit_timeout=commit_timeout
    )
