"""The address of a database: one url that may name several servers."""

from urllib.parse import parse_qsl, urlsplit, urlunsplit

DEFAULT_PORT = 5432
_OPTIONS = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword", "sslnegotiation"})


def server_urls(url: str) -> list[str]:
    """Return the url of each server that a url names: it may have ``host:port,host:port`` in place of one host.

    Raises:
        ValueError: when the url is not valid; the text quotes nothing of it, since it may hold a password.
    """
    try:
        parts = urlsplit(url)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError("no url") from None
    if parts.scheme not in {"postgresql", "postgres"} or parts.fragment:
        raise ValueError("it does not begin with postgresql://, or has a #: write that as %23")
    if not {name for name, _ in options} <= _OPTIONS:
        raise ValueError(f"its options are not among {', '.join(sorted(_OPTIONS))}")
    user, at, hosts = parts.netloc.rpartition("@")
    if not hosts or not parts.path.strip("/") or "/" in parts.path.strip("/"):
        raise ValueError("it names no host, or not one database")
    return [urlunsplit(parts._replace(netloc=f"{user}{at}{_with_port(host)}")) for host in hosts.split(",")]


def _with_port(host: str) -> str:
    name, colon, port = (host, "", "") if host.endswith("]") else host.rpartition(":")
    name, port = (name, port) if colon else (host, str(DEFAULT_PORT))
    if not name or not (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
        raise ValueError("a host or its port is not valid")
    return f"{name}:{port}"
