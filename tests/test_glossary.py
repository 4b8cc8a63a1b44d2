"""The glossary: each of its words is explained and used, and no former word is left."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from proxy.cli.commands import main

ROOT = Path(__file__).resolve().parent.parent
GLOSSARY = ROOT / "docs" / "glossary.md"
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
TERMS = re.findall(r"^\*\*([^*]+)\*\*", GLOSSARY.read_text(), re.MULTILINE)
# Texts that users read besides the pages.
TEXTS = sorted([*(ROOT / "static").glob("*.html"), *(ROOT / "static").glob("operator*.js")])

# Former names of the visitor cookie, a browser copy's status and updates, the operator client and suppressions.
OLD = re.compile(r"\b(?:keepers?|fates?|pixel_copy|news|books|marks)\b", re.IGNORECASE)
# The word for a batch or a dead letter; letters of the alphabet are written in the plural.
LETTER = re.compile(r"(?<!dead )\bletter\b", re.IGNORECASE)


def helps(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the help text of a command and of every command below it."""
    context = click.Context(command, info_name=name)
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for part in command.list_commands(context):
            if below := command.get_command(context, part):
                yield from helps(below, f"{name} {part}")


HELPS = dict(helps(main, "capi-proxy"))


def test_the_glossary_has_its_words_in_order() -> None:
    """Every entry begins with its word, and the words are sorted."""
    assert len(TERMS) > 5
    assert sorted(TERMS, key=str.lower) == TERMS


@pytest.mark.parametrize("term", TERMS)
def test_a_word_of_the_glossary_is_used(term: str) -> None:
    """Each word is used in a page other than the glossary; otherwise it would need no explanation."""
    used = [
        page.name for page in PAGES if page != GLOSSARY and re.search(rf"\b{term}s?\b", page.read_text(), re.IGNORECASE)
    ]

    assert used


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_no_old_word(page: Path) -> None:
    """No page uses a former name."""
    assert OLD.findall(page.read_text()) + LETTER.findall(page.read_text()) == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_what_the_browser_shows_has_no_old_word(path: Path) -> None:
    """No text of the opt-out page and the operator's page uses a former name; names in their scripts may."""
    shown = " ".join(re.findall(r"\"[^\"\n]*\"|`[^`]*`|>[^<>]+<", path.read_text()))

    assert OLD.findall(shown) == []


@pytest.mark.parametrize("name", HELPS)
def test_a_help_text_has_no_old_word(name: str) -> None:
    """No help text of a command uses a former name."""
    assert OLD.findall(HELPS[name]) == []
