"""The commands about persons: ``erase``, ``suppressions list`` and ``suppressions lift``."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from proxy.cli.options import TOKENS, config_option, json_option, limit_option, load_or_exit
from proxy.cli.output import print_rows
from proxy.cli.questions import ask
from proxy.config.load import Config
from proxy.model.suppression import SuppressionKind
from proxy.rules.identity.person_digest import identifiers
from proxy.rules.identity.reference import REFERENCE_LENGTH
from proxy.rules.match.text import sha256

_OPTIONS = {"em": "--email", "ph": "--phone", "external_id": "--external-id", "visitor": "--visitor"}
_COLUMNS = ("at", "kind", "digest")
_DIGEST = _VISITOR_NUMBER = re.compile("[0-9a-f]{32}")


def _person_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options by which a person is named."""
    for option in (
        click.option("--visitor", "visitors", multiple=True, help="The reference that the opt-out page shows."),
        click.option("--external-id", "ids", multiple=True, help="The site's own id of the person, as for the Pixel."),
        click.option("--phone", "phones", multiple=True, help="Telephone number, with country code."),
        click.option("--email", "emails", multiple=True, help="Mail address."),
    ):
        command = option(command)
    return command


_kind_option = click.option(
    "--kind", type=click.Choice([kind.value for kind in SuppressionKind]), help="Only suppressions of this kind."
)


def _person(config: Config, values: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    try:
        return _person_of(config, **values)
    except ValueError as error:
        raise click.UsageError(f"nobody can be known by this value of {_OPTIONS[str(error)]}") from None


def _person_of(
    config: Config, *, emails: Sequence[str], phones: Sequence[str], ids: Sequence[str], visitors: Sequence[str]
) -> dict[str, list[str]]:
    """Return a person as the operator API takes one.

    Phone numbers are read as numbers of each site's country. A visitor is named by a reference, or by the number that
    pages of an earlier version showed.

    Raises:
        ValueError: when a value cannot identify anybody; the text is the value's key.
    """
    countries = {"", *(site.country.lower() for site in config.settings.site)}
    names = ["".join(visitor.split()).lower() for visitor in visitors]
    references = [name for name in names if len(name) == REFERENCE_LENGTH]
    numbers = [name for name in names if _VISITOR_NUMBER.fullmatch(name)]
    if len(references) + len(numbers) < len(names):
        raise ValueError("visitor")
    external_ids = [*ids, *map(sha256, numbers)]
    found = identifiers({"em": emails, "ph": phones, "external_id": external_ids}, countries)
    return found | ({"visitor": references} if references else {})


@click.command()
@config_option
@_person_options
def erase(path: Path, **values: Sequence[str]) -> None:
    """Remove waiting events and dead letters of one person, and refuse older ones that come later."""
    if not any(values.values()):
        raise click.UsageError("accepted: one or more of --email, --phone, --external-id, --visitor")
    config = load_or_exit(path, TOKENS)
    person = _person(config, values)
    erased = ask(path, lambda client: client.erase(person))
    days = config.settings.retention.erased_days
    click.echo(f"{erased.waiting} waiting events and {erased.dead} dead letters removed")
    click.echo(f"events that happened before now are refused for {days} days")


@click.group()
def suppressions() -> None:
    """Who opted out, withdrew consent or was erased: digests, which name nobody."""


@suppressions.command("list")
@config_option
@_kind_option
@limit_option
@json_option
def suppressions_list(path: Path, kind: str | None, limit: int, *, as_json: bool) -> None:
    """List suppressions, newest first."""
    wanted = SuppressionKind(kind) if kind else None
    print_rows(ask(path, lambda client: client.suppressions(wanted, limit), reads=True), _COLUMNS, as_json=as_json)


@suppressions.command("lift")
@config_option
@click.argument("digests", nargs=-1, metavar="[DIGEST]...")
@_person_options
@_kind_option
@click.confirmation_option(prompt="Send again what is about these people?")
def suppressions_lift(path: Path, digests: Sequence[str], kind: str | None, **values: Sequence[str]) -> None:
    """End suppressions before their time: those of the list, or those of a person.

    Only the people themselves can take back an opt-out or agree again. Use this when they asked you to, or against
    suppressions that nobody meant.
    """
    if not digests and not any(values.values()):
        raise click.UsageError("accepted: digests, or one or more of --email, --phone, --external-id, --visitor")
    if wrong := [digest for digest in digests if not _DIGEST.fullmatch(digest)]:
        raise click.UsageError(f"{wrong[0][:40]!r}; accepted: digests as the list shows them, 32 hex digits")
    person = {**_person(load_or_exit(path, TOKENS), values), "digest": list(digests)}
    lifted = ask(path, lambda client: client.lift(person, SuppressionKind(kind) if kind else None))
    click.echo(f"{lifted} suppressions lifted")
