"""Configuration: all mistakes are reported at once, secrets are never printed, and the example is complete."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from setting_keys import KEYS, models
from support import raw_config

from proxy.config import load
from proxy.config.address import Address
from proxy.config.problems import ConfigError, Problem
from proxy.config.schema import Pixel, Site

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "config.example.toml"


KEY = "c3a5e1f09b7d42688e0fa2b4d6c81357"


def minimal(**site: Any) -> dict[str, Any]:
    pixel = {"id": "1", "access_token": "TOKEN-IN-CLEAR"}
    return {"site": [{"name": "shop", "domains": ["shop.example"], "pixel": [pixel], **site}]}


def problems(raw: dict[str, Any], environment: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load.parse(raw, environment or {}, base=Path())
    return caught.value.problems


def uncommented() -> dict[str, Any]:
    """Return the example's content with every commented key switched on."""
    return tomllib.loads(re.sub(r"^# (?=[a-z_]+ = |\[)", "", EXAMPLE.read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize(("path", "name"), KEYS, ids=[".".join(key) for key in KEYS])
def test_the_example_lists_every_key_with_its_default(path: str, name: str) -> None:
    """Each key of the settings is in the example, with its true default if it has one."""
    table: Any = uncommented()
    for part in filter(None, path.split(".")):
        table = table[part][0] if isinstance(table[part], list) else table[part]
    field = models()[path].model_fields[name]

    assert name in table
    is_table = isinstance(table[name], dict) or name in ("webhook", "pixel", "email")
    if not field.is_required() and not is_table and name != "test_event_until":
        assert plain(field.get_default(call_default_factory=True)) == plain(table[name])


def plain(value: Any) -> Any:
    if isinstance(value, Address):
        return f"{value.host}:{value.port}"
    if isinstance(value, frozenset | tuple | list):
        return sorted(map(str, value))
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def test_the_example_has_no_other_keys() -> None:
    """The example with everything switched on is a valid configuration."""
    loaded = load.parse(
        uncommented(), {"META_TOKEN": "t", "SHOPIFY_SECRET": "s", "ALERT_HOOK": "https://hook.example"}, base=Path()
    )

    assert loaded.settings.site[0].name == "shop"


def test_the_example_as_shipped_is_sound() -> None:
    """With its one environment variable set, the example is a valid configuration."""
    loaded = load.load(EXAMPLE, {"META_TOKEN": "t"})

    assert loaded.data_dir == ROOT / "data"
    assert loaded.settings.server.listen == Address("0.0.0.0", 8080)


MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown section": ({**minimal(), "serve": {}}, "serve", "server"),
    "unknown key": ({**minimal(), "server": {"port": 1}}, "server.port", "listen"),
    "capital key": ({**minimal(), "server": {"Listen": "127.0.0.1:1"}}, "server.Listen", "listen"),
    "capital key of a site": (minimal(GPC="drop"), "site[0].GPC", "gpc"),
    "capital section": ({**minimal(), "Server": {}}, "Server", "server"),
    "a kind of webhook twice": (
        minimal(webhook=[{"kind": "stripe", "secret": "a"}, {"kind": "stripe", "secret": "b"}]),
        "site[0].webhook[1].kind",
        "old_secrets",
    ),
    "a hold that no server can end": (
        minimal(orders={"hold_until_paid": True}),
        "site[0].orders.hold_until_paid",
        "access_keys",
    ),
    "a hold of orders without a number": (
        minimal(access_keys=[KEY], sensitive="restricted", orders={"hold_until_paid": True}),
        "site[0].orders.hold_until_paid",
        "restricted",
    ),
    "a hold that outlasts the visitor": (
        minimal(access_keys=[KEY], orders={"hold_until_paid": True, "hold_hours": 25, "join_days": 1}),
        "site[0].orders.hold_hours",
        "24 hours",
    ),
    "a webhook without a secret": (
        minimal(webhook=[{"kind": "stripe", "secret": ""}]),
        "site[0].webhook[0].secret",
        "signs with",
    ),
    "a member that its orders do not have": (
        minimal(webhook=[{"kind": "woocommerce", "secret": "a", "order_id": "name"}]),
        "site[0].webhook[0].order_id",
        "id or number",
    ),
    "one port twice": (
        {**minimal(), "server": {"listen": "127.0.0.1:9090"}},
        "server.operator_listen",
        "another port",
    ),
    "one pixel twice": (
        minimal(
            pixel=[{"id": "1", "access_token": "t"}, {"id": "2", "access_token": "t"}, {"id": "1", "access_token": "t"}]
        ),
        "site[0].pixel[2].id",
        "once",
    ),
    "one name twice": (
        {"site": [*minimal()["site"], *minimal(domains=["b.example"])["site"]]},
        "site[1].name",
        "another for each site",
    ),
    "one path twice": (
        {"site": [*minimal(prefix="tools")["site"], *minimal(prefix="/tools", name="b")["site"]]},
        "site[1].prefix",
        "another prefix",
    ),
    "unknown site key": (minimal(color="red"), "site[0].color", "domains"),
    "no site": ({"site": []}, "site", "[[site]]"),
    "missing site": ({}, "site", "[[site]]"),
    "site as table": ({"site": {}}, "site", "[[site]]"),
    "bad address": ({**minimal(), "server": {"listen": "8080"}}, "server.listen", "host:port"),
    "bad port": ({**minimal(), "server": {"listen": "a:99999"}}, "server.listen", "host:port"),
    "open bracket": ({**minimal(), "server": {"listen": "[::1:8080"}}, "server.listen", "host:port"),
    "no brackets": ({**minimal(), "server": {"listen": "::1:8080"}}, "server.listen", "host:port"),
    "name in brackets": ({**minimal(), "server": {"listen": "[localhost]:8080"}}, "server.listen", "host:port"),
    "foreign digits": ({**minimal(), "server": {"listen": "127.0.0.1:\u0668\u0660"}}, "server.listen", "host:port"),
    "host bits": ({**minimal(), "server": {"trusted_proxies": ["10.0.0.1/8"]}}, "server.trusted_proxies[0]", "host"),
    "a number as text": ({**minimal(), "retention": {"ledger_days": "7"}}, "retention.ledger_days", "days"),
    "zero days": ({**minimal(), "retention": {"dead_days": 0}}, "retention.dead_days", "1 to 90"),
    "bad version": ({**minimal(), "graph": {"version": "26"}}, "graph.version", "v26.0"),
    "graph with path": ({**minimal(), "graph": {"url": "https://a/b"}}, "graph.url", "without path"),
    "other engine": ({**minimal(), "queue": {"engine": "mysql"}}, "queue.engine", "sqlite"),
    "a shared queue nowhere": ({**minimal(), "queue": {"engine": "postgres"}}, "queue.url", "postgres"),
    "a shared queue of nobody": (
        {**minimal(), "queue": {"engine": "postgres", "url": "postgresql://a/b"}},
        "server.secret",
        "all proxies",
    ),
    "a database for a file": ({**minimal(), "queue": {"url": "postgresql://a/b"}}, "queue.url", "empty"),
    "another database": (
        {**minimal(), "server": {"secret": KEY}, "queue": {"engine": "postgres", "url": "mysql://a/b"}},
        "queue.url",
        "postgresql://",
    ),
    "a commit without end": ({**minimal(), "queue": {"commit_timeout": 60}}, "queue.commit_timeout", "0.1 to 10"),
    "wrong word": (minimal(consent="yes"), "site[0].consent", '"required"'),
    "asked in vain": (minimal(consent_from=["tcf"]), "site[0].consent", "consent_from"),
    "unknown source": (minimal(consent="required", consent_from=["acme"]), "site[0].consent_from[0]", "cookiebot"),
    "source without its word": (
        minimal(consent="required", consent_from=["tcf", "klaro"]),
        "site[0].cmp.klaro_service",
        "klaro",
    ),
    "no purpose": (minimal(cmp={"tcf_purposes": []}), "site[0].cmp.tcf_purposes", "1 to 11"),
    "no such purpose": (minimal(cmp={"tcf_purposes": [1, 12]}), "site[0].cmp.tcf_purposes[1]", "1 to 11"),
    "unknown word": (minimal(cmp={"onetrust": "C0004"}), "site[0].cmp.onetrust", "onetrust_group"),
    "gpc word": (minimal(gpc="honour"), "site[0].gpc", '"ldu"'),
    "flag as text": (minimal(load_pixel="true"), "site[0].load_pixel", "true or false"),
    "deep prefix": (minimal(prefix="/a/b"), "site[0].prefix", "one plain word"),
    "a public_url with a path": (
        minimal(public_url="https://t.shop.example/x"),
        "site[0].public_url",
        "scheme and host",
    ),
    "a public_url without scheme": (minimal(public_url="t.shop.example"), "site[0].public_url", "scheme and host"),
    "a public_url that cannot be": (minimal(public_url="https://a.example:99999"), "site[0].public_url", "scheme and"),
    "bad leaf": (minimal(tag_name="a/b"), "site[0].tag_name", "one path segment"),
    "same leaves": (minimal(tag_name="e"), "site[0].collect_name", "different"),
    "domain with scheme": (minimal(domains=["https://a"]), "site[0].domains[0]", "host names"),
    "no domain": (minimal(domains=[]), "site[0].domains", "host names"),
    "no pixel": (minimal(pixel=[]), "site[0].pixel", "[[site.pixel]]"),
    "pixel id as number": (minimal(pixel=[{"id": 1, "access_token": "t"}]), "site[0].pixel[0].id", "in quotes"),
    "no token": (minimal(pixel=[{"id": "1"}]), "site[0].pixel[0].access_token", "env:NAME"),
    "an access key that is short": (minimal(access_keys=["k" * 15]), "site[0].access_keys[0]", "16 to 256"),
    "an access key that is empty": (minimal(access_keys=[KEY, ""]), "site[0].access_keys[1]", "env:NAME"),
    "an access key with a blank": (minimal(access_keys=[f"{KEY} {KEY}"]), "site[0].access_keys[0]", "visible ASCII"),
    "an access key in other letters": (minimal(access_keys=["ключ" * 8]), "site[0].access_keys[0]", "visible ASCII"),
    "an access key without a value": (minimal(access_keys=["env:NOT_SET"]), "site[0].access_keys[0]", "env:NAME"),
    "an access key twice": (minimal(access_keys=[KEY, KEY]), "site[0].access_keys[1]", "nowhere else"),
    "an access key that is a token": (
        minimal(access_keys=[KEY], pixel=[{"id": "1", "access_token": KEY}]),
        "site[0].access_keys[0]",
        "nowhere else",
    ),
    "an access key that is the secret": (
        {**minimal(access_keys=[KEY]), "server": {"secret": KEY}},
        "site[0].access_keys[0]",
        "nowhere else",
    ),
    "an access key that signs webhooks": (
        minimal(access_keys=[KEY], webhook=[{"kind": "shopify", "secret": KEY}]),
        "site[0].access_keys[0]",
        "nowhere else",
    ),
    "an access key that signed webhooks": (
        minimal(access_keys=[KEY], webhook=[{"kind": "stripe", "secret": "new", "old_secrets": [KEY]}]),
        "site[0].access_keys[0]",
        "nowhere else",
    ),
    "an access key of two sites": (
        {"site": [*minimal(access_keys=[KEY])["site"], {**minimal(access_keys=[KEY])["site"][0], "name": "b"}]},
        "site[1].access_keys[0]",
        "nowhere else",
    ),
    "unknown people": (minimal(orders={"unknown_people": "ask"}), "site[0].orders.unknown_people", '"ldu"'),
    "short secret": ({**minimal(), "server": {"secret": "short"}}, "server.secret", "32 bytes"),
    "open operator": (
        {**minimal(), "server": {"operator_listen": "0.0.0.0:1"}},
        "server.operator_password",
        "password",
    ),
    "two forwarding headers": (
        {**minimal(), "server": {"client_ip_preset": "caddy", "client_ip_header": "X-Real-IP"}},
        "server.client_ip_preset",
        "one of the two",
    ),
    "announced by nobody": ({**minimal(), "server": {"proxy_protocol": True}}, "server.proxy_protocol", "network"),
    "other preset": ({**minimal(), "server": {"client_ip_preset": "akamai"}}, "server.client_ip_preset", "cloudfront"),
    "absent variable": (
        minimal(pixel=[{"id": "1", "access_token": "env:NOT_THERE"}]),
        "site[0].pixel[0].access_token",
        "env:NAME",
    ),
    "absent file": (minimal(access_keys=["file:/not/there"]), "site[0].access_keys[0]", "keys"),
}


@pytest.mark.parametrize(("raw", "path", "accepted"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_path_value_and_what_is_accepted(raw: dict[str, Any], path: str, accepted: str) -> None:
    """Each mistake is reported with its path, its value and what is accepted."""
    found = {problem.path: problem for problem in problems(raw)}

    assert path in found
    assert accepted in found[path].accepted
    assert found[path].value


def test_all_mistakes_come_together() -> None:
    """Mistakes of form and contradictions between values are reported together."""
    raw = {
        "server": {"listen": "nowhere", "operator_listen": "0.0.0.0:1", "typo": 1},
        "site": [
            {"name": "a b", "domains": [], "pixel": [{"id": "7", "access_token": "one"}]},
            {"name": "c", "domains": ["c.example"], "pixel": [{"id": "7", "access_token": "other"}]},
        ],
    }

    assert {problem.path for problem in problems(raw)} == {
        "server.listen",
        "server.typo",
        "server.operator_password",
        "site[0].name",
        "site[0].domains",
        "site[1].pixel[0].id",
    }


def test_secrets_never_print(tmp_path: Path) -> None:
    """Neither the settings, nor their dump, nor a report of mistakes shows a secret."""
    secret_file = tmp_path / "secret"
    secret_file.write_text("SECRET-IN-CLEAR-that-is-long-enough\n")
    raw = minimal()
    raw["server"] = {"secret": f"file:{secret_file}", "operator_password": "PASSWORD-IN-CLEAR"}
    raw["site"][0]["access_keys"] = ["ACCESS-KEY-IN-CLEAR"]
    settings = load.parse(raw, {}, base=tmp_path).settings
    raw["site"][0]["pixel"][0]["id"] = 5
    raw["site"][0]["name"] = "a b"
    raw["site"][0]["access_keys"] = ["IN-CLEAR"]
    report = "\n".join(map(str, problems(raw)))

    assert settings.server.secret.get_secret_value() == "SECRET-IN-CLEAR-that-is-long-enough"
    assert "IN-CLEAR" not in f"{settings!r}{settings.model_dump()}{settings.model_dump_json()}{report}"


def test_secrets_come_from_environment_and_files(tmp_path: Path) -> None:
    """``env:`` and ``file:`` say where a secret is; blanks around a file's text are not part of it."""
    (tmp_path / "token").write_text("  from-file \n")
    raw = minimal(pixel=[{"id": "1", "access_token": "env:T"}, {"id": "2", "access_token": "file:token"}])
    pixels = load.parse(raw, {"T": "from-environment"}, base=tmp_path).settings.site[0].pixel

    assert [pixel.access_token.get_secret_value() for pixel in pixels] == ["from-environment", "from-file"]


@pytest.mark.parametrize(
    ("consent", "written", "done"),
    [("pixel", "send", "send"), ("pixel", "ldu", "ldu"), ("required", "send", "drop"), ("required", "drop", "drop")],
)
def test_people_never_seen_are_dropped_where_consent_is_required(consent: str, written: str, done: str) -> None:
    """The owner's setting applies, unless consent is required; then ``send`` counts as ``drop``."""
    raw = minimal(consent=consent, orders={"unknown_people": written})

    assert load.parse(raw, {}, base=Path()).settings.site[0].unknown_people == done


def test_settings_are_frozen() -> None:
    """Settings cannot be changed after they were read."""
    settings = load.parse(minimal(), {}, base=Path()).settings

    with pytest.raises(ValueError, match="frozen"):
        settings.server.listen = Address("a", 1)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("server", "header"),
    [
        ({}, "X-Forwarded-For"),
        ({"client_ip_header": "True-Client-IP"}, "True-Client-IP"),
        ({"client_ip_preset": "cloudflare"}, "CF-Connecting-IP"),
        ({"client_ip_preset": "cloudfront"}, "X-Forwarded-For"),
        ({"client_ip_preset": "fastly"}, "X-Forwarded-For"),
        ({"client_ip_preset": "nginx"}, "X-Forwarded-For"),
        ({"client_ip_preset": "caddy"}, "X-Forwarded-For"),
    ],
)
def test_a_preset_names_the_header(server: dict[str, str], header: str) -> None:
    """The kind of proxy in front decides which header is believed."""
    assert load.parse({**minimal(), "server": server}, {}, base=Path()).settings.server.forwarding_header == header


@pytest.mark.parametrize(
    ("written", "prefix"), [("shop-tools", "/shop-tools"), ("/shop-tools", "/shop-tools"), ("", "")]
)
def test_a_prefix_starts_with_a_slash(written: str, prefix: str) -> None:
    """The prefix is accepted with or without its slash."""
    assert load.parse(minimal(prefix=written), {}, base=Path()).settings.site[0].prefix == prefix


@pytest.mark.parametrize("text", [b"\xff\xfe", b"[server", b"a = 1\na = 2"])
def test_what_is_no_toml_is_one_clear_problem(tmp_path: Path, text: bytes) -> None:
    """A file that cannot be read causes one problem, which names the file."""
    path = tmp_path / "config.toml"
    path.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        load.load(path, {})

    (problem,) = caught.value.problems
    assert problem.path == str(path)


def test_every_field_says_what_is_accepted() -> None:
    """Every key has a text that says what it accepts."""
    silent = [f"{path}.{name}" for path, name in KEYS if not models()[path].model_fields[name].description]

    assert silent == []
    assert {Site, Pixel} <= set(models().values())


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "proxy", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("CAPI_PROXY_CONFIG", None)
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60)


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


SOUND = """
[server]
secret = "a secret for tests that is long enough"
[[site]]
name = "shop"
domains = ["shop.test"]
[[site.pixel]]
id = "1"
access_token = "TOKEN-IN-CLEAR"
"""


def test_check_ends_with_2_and_every_mistake(tmp_path: Path) -> None:
    """An invalid configuration ends with exit code 2 and a line for each mistake, without a traceback or a secret."""
    text = SOUND.replace('"shop"', '"a b"').replace('id = "1"', "id = 1")
    done = run("check", "--offline", "--config", write(tmp_path / "c.toml", text))

    assert done.returncode == 2
    assert "site[0].name" in done.stderr
    assert "site[0].pixel[0].id" in done.stderr
    assert "Traceback" not in done.stderr
    assert "IN-CLEAR" not in done.stdout + done.stderr


def test_check_ends_with_0_when_all_is_well(tmp_path: Path) -> None:
    """A valid configuration ends with exit code 0."""
    done = run("check", "--offline", "--config", write(tmp_path / "c.toml", SOUND))

    assert (done.returncode, done.stderr) == (0, "")
    assert "c.toml: nothing to mend" in done.stdout.splitlines()[-1]


def test_check_ends_with_1_when_it_would_be_unsafe(tmp_path: Path) -> None:
    """A configuration that would send tokens without TLS fails the check."""
    text = SOUND + '[graph]\nurl = "http://graph.example"\n'
    done = run("check", "--offline", "--config", write(tmp_path / "c.toml", text))

    assert done.returncode == 1
    assert "graph.url: http://graph.example" in done.stdout
    assert "c.toml: 1 to mend" in done.stdout.splitlines()[-1]


def test_serve_refuses_a_wrong_configuration(tmp_path: Path) -> None:
    """``serve`` ends with 2 before it listens or writes anything."""
    done = run("serve", "--config", write(tmp_path / "c.toml", "[server]\nport = 1\n"))

    assert done.returncode == 2
    assert not (tmp_path / "data").exists()


def test_snippet_prints_what_to_paste(tmp_path: Path) -> None:
    """The snippet has the tag's path, the same at each run, and with ``--host`` that host's address."""
    path = write(tmp_path / "c.toml", SOUND)
    own, again, host = (
        run("snippet", "--config", path),
        run("snippet", "--config", path),
        run("snippet", "--config", path, "--host", "t.shop.test"),
    )
    prefix = re.search(r'<script async src="(/[a-z2-7]{8})/m\.js"', own.stdout)

    assert prefix
    assert own.stdout == again.stdout
    assert f"location ^~ {prefix[1]}/" in own.stdout
    assert f'src="https://t.shop.test{prefix[1]}/m.js"' in host.stdout
    assert "order-shop-" in own.stdout


def test_snippet_of_a_site_without_base_code_is_one_line(tmp_path: Path) -> None:
    """If the tag loads the Pixel itself, the snippet is the tag alone, without a trap."""
    path = write(tmp_path / "c.toml", SOUND.replace('name = "shop"', 'name = "shop"\nload_pixel = true'))
    printed = run("snippet", "--config", path).stdout

    assert re.search(r'<script src="/[a-z2-7]{8}/m\.js"></script>', printed)
    assert "order-shop-" not in printed


@pytest.mark.parametrize(
    "command", ["serve", "demo", "simulator", "check", "snippet", "events", "dead", "dead list", "dead replay"]
)
def test_every_command_has_help(command: str) -> None:
    """``--help`` of every command ends with 0."""
    done = run(*command.split(), "--help")

    assert done.returncode == 0
    assert "Usage:" in done.stdout


@pytest.mark.parametrize("arguments", [["fly"], ["serve"], ["demo", "--port", "x"], ["snippet", "--config"]])
def test_wrong_usage_ends_with_2(arguments: list[str], tmp_path: Path) -> None:
    """Wrong usage ends with exit code 2 and an error text."""
    done = run(*arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert "Error" in done.stderr


def test_events_reads_the_books_of_a_stopped_proxy(tmp_path: Path) -> None:
    """The command lists the events of a stopped proxy; if none ever ran, it says so with exit code 1."""
    path = write(tmp_path / "c.toml", SOUND)
    before = run("events", "--config", path)
    (tmp_path / "data").mkdir()
    after = run("events", "--config", path, "--json")

    assert (before.returncode, after.returncode, after.stdout) == (1, 0, "")
    assert "has the proxy ever run" in before.stderr


def test_the_test_configuration_is_sound(tmp_path: Path) -> None:
    """The configuration that other tests use is valid."""
    assert load.parse(raw_config("http://127.0.0.1:1", tmp_path), {}, base=tmp_path).data_dir == tmp_path
