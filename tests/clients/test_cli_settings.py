"""Settings of the CLI: the address of the service and the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowflare.cli.errors import UsageMistake
from flowflare.cli.settings import DEFAULT_URL, Options, is_local, key_in_dev_vars, resolve

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_options_come_before_the_environment() -> None:
    environment = {"FLOWFLARE_URL": "https://a.example", "FLOWFLARE_API_KEY": "from-environment"}
    settings = resolve(Options(), environment=environment)
    assert (settings.url, settings.key) == ("https://a.example", "from-environment")
    settings = resolve(Options(url="https://b.example", api_key="given"), environment=environment)
    assert (settings.url, settings.key) == ("https://b.example", "given")


def test_the_default_is_the_local_service() -> None:
    settings = resolve(Options(), environment={"FLOWFLARE_URL": ""})
    assert (settings.url, settings.key) == (DEFAULT_URL, None)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("FLOWFLARE_API_KEY=abc", "abc"),
        ("# FLOWFLARE_API_KEY=no\nOTHER=1\nexport FLOWFLARE_API_KEY = 'a c' # note", None),
        ('FLOWFLARE_API_KEY="a"\n', "a"),
        ("FLOWFLARE_API_KEY=abc # the admin's", "abc"),
        ("FLOWFLARE_API_KEY_OLD=abc", None),
        ("FLOWFLARE_API_KEY=", None),
    ],
)
def test_the_key_of_a_local_service_is_in_dev_vars(
    tmp_path: Path, content: str, key: str | None
) -> None:
    (tmp_path / ".dev.vars").write_text(content)
    found = key_in_dev_vars(tmp_path / ".dev.vars")
    assert resolve(Options(), environment={}).key == (found.split()[0] if found else None)
    if key is not None:
        assert found == key


def test_the_local_key_does_not_go_elsewhere(tmp_path: Path) -> None:
    (tmp_path / ".dev.vars").write_text("FLOWFLARE_API_KEY=abc")
    assert resolve(Options(), environment={}).key == "abc"
    assert resolve(Options(url="https://flowflare.example"), environment={}).key is None


def test_the_first_of_several_keys_is_used() -> None:
    assert resolve(Options(), environment={"FLOWFLARE_API_KEY": "new  old"}).key == "new"


def test_a_key_does_not_show_in_the_settings() -> None:
    assert "hidden" not in repr(resolve(Options(api_key="hidden"), environment={}))


@pytest.mark.parametrize("key", ["schlüssel", "a\x07b"])
def test_a_key_that_no_header_carries_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(UsageMistake) as caught:
        resolve(Options(api_key=key), environment={})
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8787/", "http://127.0.0.1:8787"),
        ("https://a.example/graphql", "https://a.example"),
        ("https://a.example/behind/graphql/", "https://a.example/behind"),
        ("https://a.example?x=1#y", "https://a.example"),
        ("http://[::1]:8787", "http://[::1]:8787"),
    ],
)
def test_addresses(text: str, url: str) -> None:
    settings = resolve(Options(url=text), environment={})
    assert settings.url == url


@pytest.mark.parametrize(
    "text",
    [
        *("localhost:8787", "ftp://a.example", "http://", "https://a.example:99999", "//a.example"),
        *("http://[::1", "https://user:secret@a.example"),
    ],
)
def test_an_address_that_is_not_an_http_url_is_refused(text: str) -> None:
    with pytest.raises(UsageMistake, match="must be an http"):
        resolve(Options(url=text), environment={})


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:8787", True),
        ("http://flowflare.localhost", True),
        ("http://127.0.0.5", True),
        ("http://[::1]:1", True),
        ("http://localhost.example", False),
        ("http://10.0.0.1", False),
        ("https://a.example", False),
    ],
)
def test_local_addresses(url: str, *, local: bool) -> None:
    assert is_local(url) is local


def test_colours_are_off_where_they_are_unwanted() -> None:
    assert resolve(Options(), environment={"NO_COLOR": ""}).color
    assert not resolve(Options(), environment={"NO_COLOR": "1"}).color
    assert not resolve(Options(no_color=True), environment={}).color
