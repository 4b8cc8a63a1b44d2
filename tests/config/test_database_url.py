"""The URL of a database may name several servers, and its password is never repeated."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.database_url import server_urls
from proxy.config.load import parse
from proxy.config.problems import ConfigError


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("postgresql://u:p@h/d", ["postgresql://u:p@h:5432/d"]),
        ("postgres://h:1/d", ["postgres://h:1/d"]),
        ("postgresql://u:p%40@a:1,b,[::1]:3,[::2]/d?sslmode=require", ["a:1", "b:5432", "[::1]:3", "[::2]:5432"]),
    ],
)
def test_each_server_has_a_url_of_its_own(url: str, servers: list[str]) -> None:
    """User, password, database and options are the same for all; the default port is PostgreSQL's."""
    expected = [server if "//" in server else f"postgresql://u:p%40@{server}/d?sslmode=require" for server in servers]

    assert server_urls(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hunter2@h/d",
        "u:hunter2@h/d",
        "postgresql://u:hunter2@/d",
        "postgresql://u:hunter2@h",
        "postgresql://u:hunter2@h/d/e",
        "postgresql://u:hunter2@h:port/d",
        "postgresql://u:hunter2@h:0/d",
        "postgresql://u:hunter2@h:65536/d",
        "postgresql://u:hunter2@a,,b/d",
        "postgresql://u:hunter2@h/d?target=hunter2",
        "postgresql://u:hunter2@h/d?hunter2",
        "postgresql://u:hunter2#@h/d",
        "postgresql://u:hunter2[@h/d",
        "postgresql://u:hunter2/@h/d",
    ],
)
def test_a_url_that_is_none_is_refused_without_a_word_of_it(url: str) -> None:
    """The reason says what is wrong, but contains neither the password nor anything that may be one."""
    with pytest.raises(ValueError, match=r"\w") as refused:
        server_urls(url)
    assert "hunter2" not in str(refused.value)

    raw = {"server": {"secret": "s" * 32}, "queue": {"engine": "postgres", "url": url}, "site": []}
    with pytest.raises(ConfigError) as told:
        parse(raw, {}, base=Path())
    assert "queue.url" in str(told.value)
    assert "hunter2" not in str(told.value)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any text is a list of servers or refused with a ``ValueError``."""
    with suppress(ValueError):
        assert server_urls(f"postgresql://{text}")
