"""The command ``check``."""

import asyncio
import sys
from pathlib import Path

import click

from proxy import doctor
from proxy.cli.options import config_option, load_or_exit
from proxy.cli.terminal import printable


@click.command()
@config_option
@click.option("--send-test", is_flag=True, help="Send one test event to each pixel with a test_event_code.")
def check(path: Path, *, send_test: bool) -> None:
    """Report every mistake of a configuration, then what is doubtful about running it here."""
    config = load_or_exit(path)
    findings = [*doctor.findings(config), *asyncio.run(doctor.database_findings(config))]
    if send_test:

        async def sent() -> list[doctor.Finding]:
            return [finding async for finding in doctor.send_tests(config)]

        findings += asyncio.run(sent())
    for finding in findings:
        click.echo(printable(f"{'FAILED' if finding.failing else 'note'}: {finding}"))
    failed = sum(finding.failing for finding in findings)
    click.echo(f"{path}: {f'FAILED, {failed} to mend' if failed else 'the configuration is sound'}")
    sys.exit(1 if failed else 0)
