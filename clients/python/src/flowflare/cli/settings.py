"""Address and key of the service, from options, environment and `.dev.vars`."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from flowflare.cli.errors import UsageMistake

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_URL = "http://127.0.0.1:8787"
_DEV_VAR = re.compile(r"\s*(?:export\s+)?FLOWFLARE_API_KEY\s*=\s*(.*?)\s*")


@dataclass(frozen=True, slots=True)
class Options:
    """The common options as given; absent ones are None or False."""

    url: str | None = None
    api_key: str | None = None
    json: bool = False
    no_color: bool = False

    def over(self, earlier: Options) -> Options:
        """These options where they are given, else those from before the command's name."""
        return Options(
            url=self.url if self.url is not None else earlier.url,
            api_key=self.api_key if self.api_key is not None else earlier.api_key,
            json=self.json or earlier.json,
            no_color=self.no_color or earlier.no_color,
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings from options, environment and `.dev.vars`."""

    url: str
    """The service's address, without a slash at its end."""
    key: str | None = field(repr=False)
    json: bool = False
    color: bool = True


def resolve(options: Options, *, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of a command. Raises UsageMistake for an address that is not an http(s) URL."""
    variables = os.environ if environment is None else environment
    url = service_url(options.url or variables.get("FLOWFLARE_URL") or DEFAULT_URL)
    key = options.api_key or variables.get("FLOWFLARE_API_KEY")
    if not key and is_local(url):
        key = key_in_dev_vars(Path(".dev.vars"))
    return Settings(
        url=url,
        key=usable_key(key),
        json=options.json,
        color=not options.no_color and not variables.get("NO_COLOR"),
    )


def service_url(text: str) -> str:
    """A service's address, without `/graphql` and slashes at its end. Raises UsageMistake."""
    must = "The service's address must be an http(s) URL"
    hint = f"Examples: {DEFAULT_URL}, https://flowflare.example.workers.dev"
    try:
        parts = urlsplit(text.strip())
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        raise UsageMistake(f"{must}, not {text!r}", hint=hint) from None
    if parts.username is not None or parts.password is not None:
        # The message does not repeat the address, which may contain a password.
        raise UsageMistake(f"{must} without user name and password", hint=hint)
    if parts.scheme not in ("http", "https") or not has_host:
        raise UsageMistake(f"{must}, not {text!r}", hint=hint)
    path = parts.path.rstrip("/").removesuffix("/graphql").rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def is_local(url: str) -> bool:
    """True if an address is on this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def key_in_dev_vars(path: Path) -> str | None:
    """`FLOWFLARE_API_KEY` from a file of NAME=value lines, read as wrangler does."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        if match := _DEV_VAR.fullmatch(line):
            value = match[1]
            quoted = re.fullmatch(r"""(["'`])(.*)\1""", value)
            return quoted[2] if quoted else re.sub(r"\s+#.*$", "", value)
    return None


def usable_key(key: str | None) -> str | None:
    """The first of several keys: a secret contains more than one while keys are rotated."""
    words = (key or "").split()
    if not words:
        return None
    if not (words[0].isascii() and words[0].isprintable()):
        raise UsageMistake(
            "The API key must consist of printable ASCII characters",
            hint="Check --api-key or FLOWFLARE_API_KEY.",
        )
    return words[0]
