"""``capi-proxy alerts test`` sends one message to each receiver, and prints each answer in plain words."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from alert_receivers import HOOK_SECRET, Hook, hook
from click.testing import CliRunner, Result

from proxy.cli.commands import main

SECRET = "s" * 32
BASE = '[[site]]\nname = "shop"\ndomains = ["shop.example"]\n[[site.pixel]]\nid = "1"\naccess_token = "env:NOT_SET"\n'


async def run(directory: Path, hooks: Sequence[Hook], environment: dict[str, str] | None = None) -> Result:
    """Run the command in a thread, while the receivers run here; no variable with a pixel's token is set."""
    file = directory / "config.toml"
    file.write_text(BASE + "".join(f'[[alerts.webhook]]\nkind = "slack"\nurl = "{each.url}"\n' for each in hooks))
    invoke = CliRunner().invoke
    return await asyncio.to_thread(invoke, main, ["alerts", "test", "--config", str(file)], env=environment)


async def test_it_says_what_each_receiver_answered(tmp_path: Path) -> None:
    """When all receivers accept the message, the exit code is 0, with a line for each; no pixel token is needed."""
    async with hook() as first, hook() as second:
        result = await run(tmp_path, [first, second])

    assert (result.exit_code, result.output) == (0, "sent  slack 127.0.0.1  HTTP 200: ok\n" * 2)
    assert [len(each.bodies) for each in (first, second)] == [1, 1]


async def test_one_that_does_not_take_it_fails_the_command(tmp_path: Path) -> None:
    """When a receiver refuses, the exit code is 1, and its line has its answer but not the secret of its address."""
    async with hook() as good, hook() as bad:
        bad.status, bad.said = 404, f"no_service {HOOK_SECRET}"
        result = await run(tmp_path, [good, bad])

    assert result.exit_code == 1
    assert "FAILED  slack 127.0.0.1  HTTP 404: no_service …\n" in result.output
    assert HOOK_SECRET not in result.output


async def test_nobody_to_tell_is_said(tmp_path: Path) -> None:
    """Without a receiver the command fails, and says what is missing."""
    result = await run(tmp_path, [])

    assert result.exit_code == 1
    assert "[[alerts.webhook]]" in result.output


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("[alerts]\nrepeat_hours = 4\n", "alerts: tells nobody"),
        ('[[alerts.webhook]]\nurl = "ftp://KEEP-OUT"\n', "alerts.webhook[0].url: a secret (not an http(s) address)"),
        ('[[alerts.webhook]]\nurl = "env:GONE"\n', "alerts.webhook[0].url: 'env:GONE' (the environment has no GONE)"),
        ('[alerts]\nconditions = ["quue"]\n[[alerts.webhook]]\nurl = "http://a"\n', "alerts.conditions[0]: 'quue'"),
        ('[alerts]\ntime_zone = "Mars/Base"\n[[alerts.webhook]]\nurl = "http://a"\n', "alerts.time_zone: 'Mars/Base'"),
        ('[alerts]\nsummary_at = "8"\n[[alerts.webhook]]\nurl = "http://a"\n', "alerts.summary_at: '8'"),
        (
            '[[alerts.email]]\nhost = "h"\nsender = "a@b"\nto = ["c@d"]\nuser = "u"\nsecurity = "none"\n',
            "alerts.email[0].security: 'none'",
        ),
        ('[[alerts.email]]\nhost = "h"\nsender = "a@b"\nto = ["c@d"]\nuser = "KEEP-OUT"\n', "alerts.email[0].password"),
        ('[[alerts.email]]\nhost = "h"\nsender = "a@b\\n"\nto = ["a, b@c"]\n', "alerts.email[0].to[0]: 'a, b@c'"),
    ],
)
def test_a_mistake_in_the_settings_is_named_without_its_secret(tmp_path: Path, lines: str, problem: str) -> None:
    """Each mistake is named by the path of its setting, and no secret is printed."""
    file = tmp_path / "config.toml"
    file.write_text(BASE + lines)
    result = CliRunner().invoke(main, ["alerts", "test", "--config", str(file)])

    assert result.exit_code == 2
    assert problem in result.output
    assert "KEEP-OUT" not in result.output


def test_other_commands_need_no_secret_of_alerts(tmp_path: Path) -> None:
    """Commands that only print or read work without the receivers' secrets."""
    file = tmp_path / "config.toml"
    file.write_text(BASE + f'[server]\nsecret = "{SECRET}"\n[[alerts.webhook]]\nurl = "env:NOT_SET"\n')
    result = CliRunner().invoke(main, ["snippet", "--config", str(file)])

    assert result.exit_code == 0, result.output
