"""One row for each consent manager: everything derived from the table agrees with it."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cmps import MANAGERS

from proxy.config.consent_managers import CONSENT_MANAGERS, ConsentManager, Option
from proxy.config.schema import CmpSettings

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = [option for manager in CONSENT_MANAGERS.values() for option in manager.options]


def table(page: str, heading: str) -> dict[str, list[str]]:
    """Return the rows of the table below a heading of a page, by their first text in backquotes."""
    section = (ROOT / "docs" / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if "`" in line]
    return {re.findall("`([^`]+)`", " ".join(row))[0]: row for row in rows if row}


def test_each_consent_manager_has_an_adapter_and_a_stand_in() -> None:
    """The configuration, the built scripts and the imitations in browser tests have the same names."""
    sources = {path.name.removesuffix(".js") for path in ROOT.glob("static/consent/*.js")} - {"ask"}

    assert {name for name in sources if not name.endswith(".min")} == set(CONSENT_MANAGERS)
    assert {row.adapter for row in CONSENT_MANAGERS.values()} == {
        f"consent/{name}.js" for name in sources if name.endswith(".min") and name != "ask.min"
    }
    assert set(MANAGERS) == set(CONSENT_MANAGERS)


def test_each_option_is_a_key_of_the_configuration() -> None:
    """The section ``[site.cmp]`` has the options of the table with their defaults, and ``implied``."""
    section: Any = CmpSettings()

    assert {"implied", *(option.name for option in OPTIONS)} == set(CmpSettings.model_fields)
    assert {option.name: getattr(section, option.name) for option in OPTIONS} == {
        option.name: option.default for option in OPTIONS
    }


@pytest.mark.parametrize("manager", CONSENT_MANAGERS.values(), ids=lambda manager: manager.name)
def test_each_consent_manager_is_documented(manager: ConsentManager) -> None:
    """The page about consent lists each one with its options, and marks those that are required."""
    _, name, options, *_ = table("consent.md", "Which name for which CMP")[manager.name]

    assert name == f"`{manager.name}`"
    assert options == ", ".join(
        f"`{option.name}`{' (needed)' if option.required else ''}" for option in manager.options
    )


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_the_default_of_each_option_is_documented(option: Option) -> None:
    """The page about the configuration and the example have each option with its default."""
    _, documented, meaning = table("configuration.md", "`[site.cmp]`")[option.name]
    example = (ROOT / "config.example.toml").read_text()
    shown = re.search(rf"^# ({option.name} = .*?)(?: +#.*)?$", example, re.MULTILINE)

    assert tomllib.loads(f"value = {documented.strip('`')}")["value"] == as_toml(option.default)
    assert shown
    assert tomllib.loads(shown[1]) == {option.name: as_toml(option.default)}
    assert ("needed for" in meaning) == option.required


def as_toml(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
