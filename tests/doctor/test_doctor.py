"""Findings of ``check`` about a valid configuration."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from support import SECRET, raw_config, record

from proxy.config import load
from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.doctor import Finding, local_findings
from proxy.installation import now_ms
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.data_dir import DataDirLock
from proxy.queue.sqlite.engine import LocalQueue

META = "https://graph.facebook.com"
# Settings of a careful owner, besides those of raw_config.
TOKEN = "EAAB" + "a1b2c3d4e5" * 10


def found(directory: Path, server: dict[str, Any] | None = None, url: str = META, **site: Any) -> list[Finding]:
    """Return the findings about a valid configuration with some keys changed."""
    pixel = {"id": "314159265358979", "access_token": TOKEN}
    raw = raw_config(url, directory, **{"domains": ["shop.test"], "prefix": "", "pixel": [pixel], **site})
    raw["server"] |= server or {}
    return list(local_findings(load.parse(raw, {}, base=directory)))


def about(key: str, all_found: list[Finding]) -> list[Finding]:
    return [finding for finding in all_found if str(finding).startswith(key)]


def test_nothing_is_said_of_what_is_right(tmp_path: Path) -> None:
    """A careful configuration causes no finding, except about the user who runs the check."""
    tmp_path.chmod(0o700)

    assert [finding for finding in found(tmp_path) if finding.code != "checked_as_root"] == []


MISTAKES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "everybody is trusted": (
        "trusted_proxies_wide",
        "server.trusted_proxies[0]",
        {"trusted_proxies": ["0.0.0.0/0"]},
        {},
    ),
    "everybody is trusted, IPv6": (
        "trusted_proxies_wide",
        "server.trusted_proxies[1]",
        {"trusted_proxies": ["127.0.0.1/32", "::/0"]},
        {},
    ),
    "half the internet is trusted": (
        "trusted_proxies_wide",
        "server.trusted_proxies[0]",
        {"trusted_proxies": ["128.0.0.0/1"]},
        {},
    ),
    "a public suffix": ("domain_is_public_suffix", "site[0].domains[0]", {}, {"domains": ["com"]}),
    "a suffix of two labels": (
        "domain_is_public_suffix",
        "site[0].domains[1]",
        {},
        {"domains": ["shop.test", "co.uk"]},
    ),
    "hosts of one service": ("domain_is_public_suffix", "site[0].domains[0]", {}, {"domains": ["github.io"]}),
    "the example's domain": ("domain_placeholder", "site[0].domains[0]", {}, {"domains": ["shop.example"]}),
    "the example's pixel": (
        "pixel_placeholder",
        "site[0].pixel[0].id",
        {},
        {"pixel": [{"id": "1234567890", "access_token": TOKEN}]},
    ),
    "a secret that repeats itself": ("secret_weak", "server.secret", {"secret": "password" * 4}, {}),
    "a secret of one letter": ("secret_weak", "server.secret", {"secret": "x" * 64}, {}),
    "a password to guess": (
        "password_weak",
        "server.operator_password",
        {"operator_listen": "10.0.0.1:9090", "operator_password": "pw"},
        {},
    ),
    "a password of one letter": (
        "password_weak",
        "server.operator_password",
        {"operator_listen": "10.0.0.1:9090", "operator_password": "a" * 30},
        {},
    ),
    "an access key of one word": (
        "access_key_guessable",
        "site[0].access_keys[0]",
        {},
        {"access_keys": ["password" * 4]},
    ),
    "an access key from a guide": (
        "access_key_guessable",
        "site[0].access_keys[0]",
        {},
        {"access_keys": ["put-a-key-of-your-own-here-0123456789"]},
    ),
    "a directory that is a file": ("data_dir_not_directory", "server.data_dir", {"data_dir": __file__}, {}),
    "a directory that cannot be made": ("data_dir_unmakeable", "server.data_dir", {"data_dir": f"{__file__}/data"}, {}),
}


@pytest.mark.parametrize(("code", "key", "server", "site"), MISTAKES.values(), ids=MISTAKES)
def test_what_cannot_be_right_fails(
    code: str, key: str, server: dict[str, Any], site: dict[str, Any], tmp_path: Path
) -> None:
    """Each mistake that would lose or leak something fails the check, at its key, and shows no secret."""
    failed = [finding for finding in found(tmp_path, server, **site) if finding.failing]

    assert [(finding.code, finding.subject) for finding in failed] == [(code, key)]
    assert "password" * 4 not in str(failed[0])


DOUBTS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "open to everybody in plain HTTP": ("listener_plain_http", "server.listen", {"listen": "0.0.0.0:8080"}, {}),
    "open, and nobody trusted": (
        "listener_plain_http",
        "server.listen",
        {"listen": "[::]:8080", "trusted_proxies": []},
        {},
    ),
    "nobody trusted on loopback": ("trusted_proxies_empty", "server.trusted_proxies", {"trusted_proxies": []}, {}),
    "no secret": ("secret_absent", "server.secret", {"secret": ""}, {}),
    "a password on loopback": (
        "password_weak_on_loopback",
        "server.operator_password",
        {"operator_password": "pw"},
        {},
    ),
    "no token": ("token_short", "site[0].pixel[0].access_token", {}, {"pixel": [{"id": "1", "access_token": "token"}]}),
    "a short access key": ("access_key_short", "site[0].access_keys[0]", {}, {"access_keys": ["c3a5e1f09b7d4268"]}),
    "an access key that a query changes": (
        "access_key_characters",
        "site[0].access_keys[0]",
        {},
        {"access_keys": ["Tx7+kQ2/Zm4=Rw9vLc1YpNe6JsUa0HgB3d"]},
    ),
    "orders that nobody can send": (
        "orders_without_server",
        "site[0].access_keys",
        {},
        {"orders": {"unknown_people": "ldu"}},
    ),
    "people whom nobody asked": (
        "unknown_people_without_effect",
        "site[0].orders.unknown_people",
        {},
        {
            "consent": "required",
            "access_keys": ["c3a5e1f09b7d42688e0fa2b4d6c81357"],
            "orders": {"unknown_people": "send"},
        },
    ),
    "people of a shop whom nobody asked": (
        "unknown_people_without_effect",
        "site[0].orders.unknown_people",
        {},
        {
            "consent": "required",
            "webhook": [{"kind": "shopify", "secret": "of the shop"}],
            "orders": {"unknown_people": "send"},
        },
    ),
    "a test code without an end": (
        "test_code_endless",
        "site[0].pixel[0].test_event_code",
        {},
        {"pixel": [{"id": "1", "access_token": "token", "test_event_code": "TEST1"}]},
    ),
    "a test code that is over": (
        "test_code_over",
        "site[0].pixel[0].test_event_code",
        {},
        {"pixel": [{"id": "1", "access_token": "t", "test_event_code": "TEST1", "test_event_until": date(2020, 1, 1)}]},
    ),
}


@pytest.mark.parametrize(("code", "key", "server", "site"), DOUBTS.values(), ids=DOUBTS)
def test_what_may_be_meant_is_a_note(
    code: str, key: str, server: dict[str, Any], site: dict[str, Any], tmp_path: Path
) -> None:
    """A setting that is right in some installations causes a note, which does not fail the check."""
    tmp_path.chmod(0o700)
    all_found = found(tmp_path, server, **site)

    assert [(each.code, each.subject) for each in all_found if each.code == code] == [(code, key)]
    assert [finding for finding in all_found if finding.failing] == []


def test_simulators_may_have_the_examples_names(tmp_path: Path) -> None:
    """Placeholders and short tokens are mistakes only where events go to Meta."""
    all_found = found(
        tmp_path,
        url="http://127.0.0.1:8890",
        domains=["shop.example"],
        pixel=[{"id": "1234567890", "access_token": "token"}],
    )

    assert about("site[0]", all_found) == []


@contextmanager
def unchanged(directory: Path) -> Iterator[None]:
    """Fail when anything in the directory is made, changed or removed."""

    def look() -> dict[Path, tuple[int, int, bytes]]:
        everything = [directory, *directory.rglob("*")]
        return {
            path: (path.stat().st_mtime_ns, path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
            for path in everything
        }

    before = look()
    yield
    assert look() == before


def test_a_check_makes_nothing(tmp_path: Path) -> None:
    """Before the first start of the proxy a check, by any user, makes no directory, lock or secret."""
    with unchanged(tmp_path):
        all_found = found(tmp_path, {"data_dir": str(tmp_path / "deep" / "data"), "secret": ""})

    assert "data_dir_missing" in {finding.code for finding in all_found}
    assert [finding for finding in all_found if finding.failing] == []


async def filled(directory: Path, secret: str) -> LocalQueue:
    """Open a queue with an event in it."""
    queue = LocalQueue.open(
        directory,
        Sealer(secret),
        limits=QueueSettings(),
        retention=RetentionSettings(),
        now=now_ms,
        on_broken=lambda _error: None,
    )
    await queue.append([record()])
    return queue


@pytest.mark.parametrize(
    ("server", "fails"),
    [
        ({}, False),
        ({"secret": "another secret for tests, just as long"}, True),
        ({"secret": "another secret for tests, just as long", "old_secrets": [SECRET]}, False),
    ],
)
async def test_a_forgotten_old_secret_is_told(server: dict[str, Any], fails: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """If no listed secret opens the stored events, the check says so before the start fails, and changes nothing."""
    await (await filled(tmp_path, SECRET)).close()
    with unchanged(tmp_path):
        failed = [finding.code for finding in found(tmp_path, server) if finding.failing]

    assert failed == (["old_secret_forgotten"] if fails else [])


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(100)])
def test_a_file_that_cannot_be_read_is_left_to_the_start(content: bytes, tmp_path: Path) -> None:
    """A damaged queue is reported by the start, in more detail; the check neither fails on it nor repairs it."""
    (tmp_path / "queue.db").write_bytes(content)
    with unchanged(tmp_path):
        assert [finding for finding in found(tmp_path) if finding.failing] == []


async def test_a_running_proxy_is_left_alone(tmp_path: Path) -> None:
    """If a proxy runs, the check does not look at its queue, and says that it runs."""
    lock = DataDirLock(tmp_path)
    queue = await filled(tmp_path, SECRET)
    with unchanged(tmp_path):
        all_found = found(tmp_path, {"secret": "another secret for tests, just as long"})
    await queue.close()
    lock.close()

    assert "data_dir_in_use" in {finding.code for finding in all_found}
    assert [finding for finding in all_found if finding.failing] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: a file of somebody else (be root)")
def test_a_lock_that_root_left_is_told(tmp_path: Path) -> None:
    """Files of another user in the service's directory are found, since the service could not open them."""
    for name in ("lock", "lost+found"):
        (tmp_path / name).touch()
    os.chown(tmp_path, 12345, 12345)
    (failed,) = [finding for finding in found(tmp_path) if finding.failing]

    assert (failed.code, str(failed)) == (
        "data_dir_foreign_files",
        f"server.data_dir: lock in {tmp_path} must belong to user 12345, as the directory does",
    )


def test_a_directory_of_somebody_else_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data_dir that the checking user cannot write fails the check, which names its owner and that user."""
    monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may run as root, who may do anything
    (failed,) = [finding for finding in found(tmp_path) if finding.failing]

    assert failed.code == "data_dir_unwritable"
    assert "cannot be written by" in failed.seen
    assert "belongs to" in failed.seen


def test_a_disk_without_the_room_that_must_stay_free_is_told(tmp_path: Path) -> None:
    """If the free space is so low that the proxy would answer 503 from the start, the check fails."""
    raw = raw_config(META, tmp_path, domains=["shop.test"]) | {"queue": {"min_free_bytes": 1 << 62}}
    all_found = list(local_findings(load.parse(raw, {}, base=tmp_path)))

    assert [finding.failing for finding in about("queue.min_free_bytes", all_found)] == [True]


@pytest.mark.parametrize(
    ("site", "key", "address"),
    [
        ({"tag_name": "fbevents.js", "prefix": "/tools"}, "site[0].tag_name", "shop.test/tools/fbevents.js"),
        ({"prefix": "/matomo"}, "site[0].prefix", "shop.test/matomo/m.js"),
        ({"prefix": "/api", "collect_name": "collect"}, "site[0].collect_name", "shop.test/api/collect"),
        ({"prefix": "/x", "image_name": "r"}, "site[0].image_name", "t.shop.test/x/r"),
        ({"tag_name": "gdpr.js", "prefix": "/tools"}, "site[0].tag_name", "shop.test/tools/gdpr.js"),
        ({"domains": ["shop.com"], "prefix": "/adv"}, "site[0].prefix", "shop.com/adv/m.js"),
    ],
)
def test_addresses_that_lists_match_are_told(site: dict[str, Any], key: str, address: str, tmp_path: Path) -> None:
    """The finding names the setting, the whole address and a better value; it is a doubt and fails no check."""
    (finding,) = about("site[0]", found(tmp_path, **site))

    assert finding.code == "address_listed"
    assert str(finding).startswith(f"{key}: ")
    assert f"makes {address}, " in str(finding)
    assert "; better: " in str(finding)
    assert not finding.failing


@pytest.mark.parametrize("prefix", ["/shop", "/site", "/home", "/user", "/assets", "/api", "/static", "/events"])
def test_plain_words_that_no_list_matches_are_not_told(prefix: str, tmp_path: Path) -> None:
    """A prefix of plain words causes no finding if no rule matches the addresses below it."""
    assert about("site[0]", found(tmp_path, prefix=prefix)) == []


def test_default_names_are_not_told(tmp_path: Path) -> None:
    """A derived prefix with the default names causes no finding."""
    assert about("site[0]", found(tmp_path)) == []
