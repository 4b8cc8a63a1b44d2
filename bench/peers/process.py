"""A peer as a process on the core that all servers of a bench share."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rig import PinnedMachine

from peers import install

_HERE = Path(__file__).resolve().parent
_NGINX = """
daemon off; master_process off; pid nginx.pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .;
  uwsgi_temp_path .; scgi_temp_path .;
  server {{ listen 127.0.0.1:{port}; location / {{ return 204; }} }}
}}
"""


@dataclass
class Peer(PinnedMachine):
    """A server that is run like the proxy, but needs only the port of the proxy's configuration."""

    words: Sequence[str] = ()
    """The command, to which the port is added."""

    def command(self) -> tuple[str, ...]:
        """Return the command line."""
        return (*self.words, str(self.port))

    def environment(self) -> dict[str, str]:
        """Return an environment in which Node.js finds the installed packages, and Express runs in production mode."""
        return {**super().environment(), "NODE_ENV": "production", "NODE_PATH": str(install.MODULES)}

    async def _accepts(self) -> bool:
        return (await self._get(self.port, "/")).startswith(b"HTTP/1.1 ")


class Nginx(Peer):
    """nginx, the fastest server at hand: it shows how much load the generator can make."""

    def command(self) -> tuple[str, ...]:
        """Write the configuration of nginx, and return the command line."""
        config = self.directory / "nginx.conf"
        config.write_text(_NGINX.format(port=self.port))
        return (*self.words, "-e", "stderr", "-p", str(self.directory), "-c", str(config))


def bare(place: Path, *, parse: bool = False) -> Peer:
    """Return aiohttp that answers 204; with ``parse``, after it has read the body as JSON."""
    flags = ("--parse",) if parse else ()
    name = "aiohttp-parse" if parse else "aiohttp"
    return Peer(place / name, "http://127.0.0.1:1", words=(sys.executable, str(_HERE / "bare.py"), *flags))


def fastapi(place: Path) -> Peer:
    """Return FastAPI with the Python SDK, once that is installed."""
    words = (str(install.PYTHON), str(_HERE / "fastapi_sdk.py"))
    return Peer(place / "fastapi", "http://127.0.0.1:1", words=words)


def express(place: Path) -> Peer:
    """Return Express with the Node SDK, once that is installed."""
    return Peer(place / "express", "http://127.0.0.1:1", words=("node", str(_HERE / "express_sdk.js")))
