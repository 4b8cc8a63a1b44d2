"""The configuration page has exactly one row for each setting, with its default and unit."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from setting_keys import KEYS, models

from proxy.config.address import Address

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
ROW = re.compile(r"^\| `(?P<key>[a-z0-9_]+)` \| (?P<default>.+?) \| (?P<meaning>.+) \|$", re.MULTILINE)
HEADING = re.compile(r"^## `\[+(?P<section>[a-z.]+)\]+`$", re.MULTILINE)
# The last word of a key → the unit that its row must name; keys without such a word need none.
UNITS = {"seconds": "second", "days": "day", "bytes": "byte", "timeout": "second"}
# Settings whose default is no short literal; their rows describe it in words.
IN_WORDS = {
    ("site", "cmp"),
    ("site", "orders"),
    ("site", "keep_url_params"),
    ("site", "block_keys"),
    ("site.pixel", "test_event_until"),
}
SETTINGS = [(path, key) for path, key in KEYS if path]


def rows() -> dict[tuple[str, str], tuple[str, str]]:
    """Return default and meaning of every row, by section and key."""
    _, *parts = HEADING.split(PAGE.read_text())
    found = [
        ((section, row["key"]), (row["default"], row["meaning"]))
        for section, text in zip(parts[::2], parts[1::2], strict=True)
        for row in ROW.finditer(text)
    ]
    assert len(dict(found)) == len(found), "a key has two rows in its section"
    return dict(found)


def in_toml(default: Any) -> Any:
    """Return a default as TOML would represent it."""
    if isinstance(default, Address):
        return default.authority
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    return list(default) if isinstance(default, tuple) else default


def test_each_setting_has_its_own_row_and_no_row_is_of_a_key_that_is_gone() -> None:
    """Each section has a heading, and exactly the rows of its keys."""
    assert sorted(rows()) == sorted(SETTINGS)
    assert set(HEADING.findall(PAGE.read_text())) == set(models()) - {""}


@pytest.mark.parametrize(("path", "key"), SETTINGS, ids=[".".join(setting) for setting in SETTINGS])
def test_a_row_tells_default_and_unit(path: str, key: str) -> None:
    """A row has the program's default, as in TOML, and the unit of a number of seconds, days or bytes."""
    default, meaning = rows()[path, key]
    field = models()[path].model_fields[key]
    unit = UNITS.get(key.rpartition("_")[2], "")

    if field.is_required():
        assert default == "required"
    elif (path, key) in IN_WORDS:
        assert not default.startswith("`")
    else:
        assert tomllib.loads(f"value = {default.strip('`')}")["value"] == in_toml(field.get_default())
    assert unit in meaning
