"""The doctor's findings about the machine: disk, descriptors, ports, permissions, listeners."""

import errno
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from machine import free_port
from support import raw_config

from proxy.config import load
from proxy.config.load import Config
from proxy.doctor import data_dir, disk, local_findings, machine, network, secrets
from proxy.doctor.finding import Finding
from proxy.installation import UnsafeInstallationError

META = "https://graph.facebook.com"


def config(directory: Path, server: dict[str, Any] | None = None, **tables: dict[str, Any]) -> Config:
    raw = raw_config(META, directory / "data", domains=["shop.test"]) | tables
    raw["server"] |= server or {}
    return load.parse(raw, {}, base=directory)


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir(mode=0o700)
    return tmp_path


def codes(found: Iterator[Finding]) -> list[str]:
    return [finding.code for finding in found]


MOUNT = "36 35 98:0 / {place} rw,noatime shared:1 - {kind} source rw\n"
ROOT = MOUNT.format(place="/", kind="ext4")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ext4", []),
        ("xfs", []),
        ("tmpfs", ["disk_volatile"]),
        ("nfs4", ["disk_network"]),
        ("fuse.sshfs", ["disk_network"]),
        ("overlay", ["disk_of_container"]),
    ],
)
def test_the_kind_of_the_disk_is_told(kind: str, expected: list[str], directory: Path) -> None:
    """A data_dir in memory, on a network or in a container's own layer is found, as it may not outlive a restart."""
    mounts = directory / "mountinfo"
    mounts.write_text(ROOT + MOUNT.format(place=directory / "data", kind=kind))

    assert codes(disk.findings(config(directory), mounts, slow_s=1e9)) == expected


def test_the_deepest_and_latest_mount_counts(directory: Path) -> None:
    """The deepest mount above a path counts, and the latest of two on one place; blanks are written in octal.

    Without a mount table the type is unknown.
    """
    mounts, place = directory / "mountinfo", Path("/srv/a b/data")
    lines = [
        ROOT,
        MOUNT.format(place="/srv", kind="xfs"),
        MOUNT.format(place="/srv/a\\040b", kind="nfs"),
        MOUNT.format(place="/srv/a\\040b", kind="btrfs"),
        MOUNT.format(place="/srv/a", kind="tmpfs"),
        "no mount at all\n",
    ]
    mounts.write_text("".join(lines))

    assert disk.file_system(place, mounts) == "btrfs"
    assert disk.file_system(Path("/home"), mounts) == "ext4"
    assert disk.file_system(place, directory / "nothing") == ""


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        ({"min_free_bytes": 1 << 62}, ["disk_short"]),
        ({"max_bytes": 1 << 60, "max_events": 1 << 50}, ["disk_nearly_short"]),
        ({}, []),
    ],
)
def test_the_room_on_the_disk_is_told(queue: dict[str, Any], expected: list[str], directory: Path) -> None:
    """Too little space to accept events fails the check; too little for an outage is a doubt."""
    mounts = directory / "mountinfo"
    mounts.write_text(ROOT)

    assert codes(disk.findings(config(directory, queue=queue), mounts, slow_s=1e9)) == expected


def test_a_slow_disk_is_told_and_nothing_is_left_of_the_measurement(directory: Path) -> None:
    """The measurement makes no named file in the directory and does not even change its times."""
    mounts, place = directory / "mountinfo", directory / "data"
    mounts.write_text(ROOT)
    before = place.stat()
    found = codes(disk.findings(config(directory), mounts, slow_s=0.0))
    after = place.stat()

    assert found == ["disk_slow"]
    assert list(place.iterdir()) == []
    assert (before.st_mtime_ns, before.st_ctime_ns, before.st_nlink) == (
        after.st_mtime_ns,
        after.st_ctime_ns,
        after.st_nlink,
    )


def test_a_disk_that_cannot_be_measured_is_no_pass(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk cannot make a file without a name, it is not measured, and the check says so."""

    def refused(_directory: Path) -> float:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(disk, "flush_seconds", refused)
    mounts = directory / "mountinfo"
    mounts.write_text(ROOT)

    assert codes(disk.findings(config(directory), mounts)) == ["disk_unmeasured"]
    assert list((directory / "data").iterdir()) == []


def test_few_descriptors_are_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit that counts is the hard one, which the proxy cannot raise."""
    found = {}
    for hard in (1024, 1 << 20, resource.RLIM_INFINITY):
        monkeypatch.setattr(resource, "getrlimit", lambda _what, hard=hard: (256, hard))
        found[hard] = codes(machine.findings(config(directory)))

    assert found == {1024: ["descriptors_few"], 1 << 20: [], resource.RLIM_INFINITY: []}


def test_a_missing_parser_is_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the parser the proxy would refuse to start, so the check fails."""

    def missing() -> None:
        raise UnsafeInstallationError("aiohttp was installed without its C parser")

    monkeypatch.setattr(machine, "require_c_parser", missing)

    assert "parser_missing" in codes(machine.findings(config(directory)))


@contextmanager
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_of_another_program_is_told(directory: Path) -> None:
    """If no proxy runs on data_dir, its port is another program's; a proxy that examines itself finds nothing."""
    with taken() as port:
        both = config(directory, {"listen": f"127.0.0.1:{port}", "operator_listen": f"127.0.0.1:{port + 1}"})
        found, own = codes(machine.findings(both)), codes(machine.findings(both, is_own=True))
    free = config(directory, {"listen": f"127.0.0.1:{free_port()}"})

    assert (found, own, codes(machine.findings(free))) == (["port_taken"], [], [])


WRITTEN = """
[server]
secret = "a secret for tests that is long enough"
[graph]
url = "https://graph.facebook.com"
[[site]]
name = "shop"
domains = ["shop.test"]
public_url = "https://t.shop.test"
[[site.pixel]]
id = "314159265358979"
access_token = "env:TOKEN"
"""

SHARED = """
[server]
secret = "env:SECRET"
[queue]
engine = "postgres"
url = "postgresql://someone{password}@db.example/capi"
""" + WRITTEN[WRITTEN.index("[[site]]") :]

MAIL = """
[[alerts.email]]
host = "mail.example"
user = "env:SECRET"
password = "{password}"
sender = "capi-proxy@shop.test"
to = ["owner@shop.test"]
"""

HOOK = """
[[alerts.webhook]]
url = "{url}"
"""


@pytest.mark.parametrize(
    ("text", "mode", "expected"),
    [
        (WRITTEN, 0o644, ["config_file_open"]),
        (WRITTEN, 0o600, []),
        (WRITTEN.replace('"a secret for tests that is long enough"', '"env:SECRET"'), 0o644, []),
        (WRITTEN.replace('"env:TOKEN"', '"EAAB"'), 0o640, ["config_file_open"]),
        (SHARED.format(password=":pw"), 0o644, ["config_file_open"]),
        (SHARED.format(password=""), 0o644, []),
        (SHARED.format(password="") + MAIL.format(password="pw"), 0o644, ["config_file_open"]),
        (SHARED.format(password="") + MAIL.format(password="env:SECRET"), 0o644, []),
        (SHARED.format(password="") + HOOK.format(url="https://hooks.example/T0/B0"), 0o644, ["config_file_open"]),
        (SHARED.format(password="") + HOOK.format(url="env:HOOK"), 0o644, []),
    ],
)
def test_secrets_that_others_may_read_are_told(text: str, mode: int, expected: list[str], tmp_path: Path) -> None:
    """A file with secrets written out must be private to its owner; one that only refers to secrets need not be."""
    path = tmp_path / "config.toml"
    path.write_text(text)
    path.chmod(mode)
    environment = {"SECRET": "another secret that is long enough", "TOKEN": "token", "HOOK": "https://hooks.example/T0"}
    loaded = load.load(path, environment)
    found = list(machine.findings(loaded))

    assert codes(iter(found)) == expected
    assert not any("long enough" in str(finding) for finding in found)


@pytest.mark.parametrize(
    ("listen", "own", "expected"),
    [
        ("127.0.0.1:9090", "203.0.114.7", []),
        ("0.0.0.0:9090", "203.0.114.7", ["operator_listener_open"]),
        ("0.0.0.0:9090", "10.0.0.7", ["operator_listener_network"]),
        ("0.0.0.0:9090", "", ["operator_listener_network"]),
        ("10.0.0.7:9090", "203.0.114.7", ["operator_listener_network"]),
        ("203.0.114.7:9090", "10.0.0.7", ["operator_listener_open"]),
        ("[::]:9090", "203.0.114.7", ["operator_listener_open"]),
        ("host.internal:9090", "203.0.114.7", ["operator_listener_network"]),
    ],
)
def test_who_reaches_the_operator_is_told(listen: str, own: str, expected: list[str], directory: Path) -> None:
    """Plain HTTP for operators fails the check on a public address, is a doubt on a private one, fine on loopback."""
    settings = config(directory, {"operator_listen": listen, "operator_password": "k3Jx8vQ2mZ7r"}).settings

    assert codes(network.findings(settings, lambda: own)) == expected


@pytest.mark.parametrize(("old", "expected"), [(0, ["old_secret_current"]), (1, [])])
def test_an_old_secret_that_is_the_current_one_is_told(old: int, expected: list[str], directory: Path) -> None:
    """An old secret that equals the current one causes a finding, since the secret was not changed at all."""
    listed = ["a secret for tests that is long enough", "an earlier secret that is long enough"][old]
    found = codes(secrets.findings(config(directory, {"old_secrets": [listed]})))

    assert [code for code in found if code.startswith("old_secret")] == expected


@pytest.mark.parametrize(
    ("directory_mode", "file_mode", "expected"),
    [
        (0o700, 0o644, []),
        (0o755, 0o600, ["data_dir_open"]),
        (0o755, 0o644, ["data_dir_open", "secret_file_open"]),
    ],
)
def test_what_others_may_read_of_data_dir_is_told(
    directory_mode: int, file_mode: int, expected: list[str], directory: Path
) -> None:
    """Files that others may read cause no finding in a directory that others may not enter."""
    place = directory / "data"
    (place / "secret").write_text("x" * 40)
    (place / "secret").chmod(file_mode)
    place.chmod(directory_mode)
    found = codes(data_dir.findings(config(directory), is_own=True))

    assert found == expected


def test_graph_without_tls_is_told(directory: Path) -> None:
    """Tokens may be sent without TLS only to this machine."""
    found = {
        url: codes(network.findings(config(directory, graph={"url": url}).settings))
        for url in ("http://graph.example", "https://graph.example", "http://127.0.0.1:8890")
    }

    assert [len(each) for each in found.values()] == [1, 0, 0]
    assert found["http://graph.example"] == ["graph_plain_http"]


def test_a_data_dir_that_cannot_be_looked_at_is_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system refuses access to data_dir, the check has a finding and no traceback."""

    def refused(_self: Path) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "is_dir", refused)
    found = codes(data_dir.findings(config(directory), is_own=True))

    assert found == ["data_dir_unreadable"]


def test_a_data_dir_behind_a_closed_directory_costs_no_other_finding(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data_dir behind a closed directory is a finding, and the other findings are there too."""
    closed, stat = directory / "closed", Path.stat

    def refused(self: Path, **options: Any) -> os.stat_result:
        if self.is_relative_to(closed):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return stat(self, **options)

    there = config(directory, {"data_dir": str(closed / "data"), "trusted_proxies": ["0.0.0.0/0"]})
    monkeypatch.setattr(Path, "stat", refused)
    found = {finding.code for finding in local_findings(there)}

    assert found >= {"data_dir_unreadable", "disk_unmeasured", "trusted_proxies_wide"}


@pytest.mark.parametrize(("user", "is_own", "expected"), [(0, False, 1), (0, True, 0), (1000, False, 0)])
def test_a_check_by_root_is_told(
    user: int,
    is_own: bool,  # noqa: FBT001
    expected: int,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A check by root is noted, as root may do more than the proxy's user, unless the proxy itself runs as root."""
    monkeypatch.setattr(os, "geteuid", lambda: user)

    assert codes(data_dir.findings(config(directory), is_own=is_own)).count("checked_as_root") == expected
