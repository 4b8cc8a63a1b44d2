"""Real web servers in front of a proxy: nginx, Caddy and HAProxy."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polling import until

from proxy.cli import web_servers
from proxy.cli.web_servers import Location

PREFIX = "/k7f2q9w3"


@dataclass(frozen=True)
class ServerSetup:
    """The values from which a web server's configuration is made."""

    directory: Path
    port: int
    """The port on which the web server is to listen, with TLS."""
    upstream: str
    """The address of the proxy."""
    site: str
    """The address of a server with the site's own pages, for web servers that serve no files."""

    @property
    def certificate(self) -> Path:
        return self.directory / "certificate.pem"

    @property
    def key(self) -> Path:
        return self.directory / "key.pem"

    def location(self, **details: Any) -> Location:
        return Location(self.upstream, "shop.example", PREFIX, **details)

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text)
        return path


def nginx(setup: ServerSetup, servers: str) -> list[str]:
    """Return the command that runs nginx with these server blocks."""
    user = "user root;" if os.geteuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n".join(f"{kind}_temp_path {setup.directory}/{kind};" for kind in kinds)
    upstream = web_servers.filled(web_servers.NGINX_UPSTREAM, setup.location())
    path = setup.write(
        "nginx.conf",
        f"{user} daemon off; worker_processes 1; pid {setup.directory}/pid; error_log stderr;\n"
        f"events {{}}\nhttp {{ access_log off;\n{places}\n{upstream}\n{servers}\n}}\n",
    )
    return [program_path("nginx"), "-p", str(setup.directory), "-e", "stderr", "-c", str(path)]


def caddy(setup: ServerSetup, site: str) -> list[str]:
    """Return the command that runs Caddy with a site."""
    path = setup.write("Caddyfile", f"{{\n admin off\n auto_https off\n skip_install_trust\n}}\n{site}\n")
    return [program_path("caddy"), "run", "--adapter", "caddyfile", "--config", str(path)]


def haproxy(setup: ServerSetup, text: str, mode: str, alpn: str = "h2,http/1.1") -> list[str]:
    """Return the command that runs HAProxy with this text in its only frontend, and the backends."""
    both = setup.write("both.pem", setup.certificate.read_text() + setup.key.read_text())
    path = setup.write(
        "haproxy.cfg",
        f"""
defaults
    mode {mode}
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend web
    bind 127.0.0.1:{setup.port} ssl crt {both} alpn {alpn}
    default_backend site
{text}
backend site
    server site {setup.site.removeprefix("http://")}
""",
    )
    return [program_path("haproxy"), "-db", "-f", str(path)]


def program_path(program: str) -> str:
    """Return the path of a system program; Debian keeps some in directories that only root searches."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/bin")
    assert path, f"{program} is missing: run `make unit`, which installs it"
    return path


@asynccontextmanager
async def started(setup: ServerSetup, command: list[str]) -> AsyncIterator[None]:
    """Run a web server until the context ends."""
    environment = {**os.environ, "XDG_DATA_HOME": str(setup.directory), "XDG_CONFIG_HOME": str(setup.directory)}
    log = setup.directory / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=output, stderr=output)

    async def listens() -> bool:
        assert process.returncode is None, log.read_text()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", setup.port)
        except OSError:
            return False
        writer.close()
        return True

    try:
        await until(listens, what=command[0])
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 60)
