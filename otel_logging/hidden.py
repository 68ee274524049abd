"""Texts for people, without the secrets that a process was given: tokens in headers, passwords and keys in URLs.

What is secret is read off the settings' variables at the moment a text is shown, and told by `hide` where it came as an
argument. Other people's error messages are the reason: they repeat what they were given. Where texts are shown is not
decided here. Standard library only; nothing here raises.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MASK: Final = "***"
_SHORTEST: Final = 6  # characters; what is shorter is no secret, and would be found in ordinary words
_MOST: Final = 64  # texts told by `hide`
_IN_URL: Final = re.compile(r"(?<=//)[^/\s@]*@")  # user and password
_QUERY: Final = re.compile(r"(?<=[\w/])\?[^\s'\")>]*")
_HEADERS: Final = re.compile(r"OTEL_EXPORTER_OTLP_(?:[A-Z]+_)?HEADERS")
_URLS: Final = re.compile(r"OTEL_EXPORTER_OTLP_(?:[A-Z]+_)?ENDPOINT|OTEL_LOGGING_CONTROL|HTTPS?_PROXY|ALL_PROXY")
_WHOLE: Final = frozenset({"OTEL_LOGGING_CONTROL_TOKEN", "OTEL_LOGGING_PSEUDONYM_KEY"})

_told: dict[str, None] = {}


def hide(text: str) -> None:
    """Never show `text` from now on."""
    if len(_told) < _MOST:
        _told.update(dict.fromkeys(_spellings(text)))


def hide_url(url: str) -> None:
    """Never show what is secret in `url`: user, password and the values of its query."""
    for secret in _secrets_of_url(url):
        hide(secret)


def shown(text: str) -> str:
    """`text` with every secret that is known, and every user and password in a URL, replaced by `***`."""
    try:
        found = {*_told, *_in_environ(os.environ)}
    except Exception:
        return "(not shown)"  # rather no text than a secret
    for secret in sorted(found, key=len, reverse=True):
        if secret in text:
            text = text.replace(secret, MASK)
    return _IN_URL.sub(f"{MASK}@", text)


def shown_value(text: str) -> str:
    """A setting's value as a warning may show it: as `shown`, and a URL without its query."""
    text = shown(text)
    return _QUERY.sub(f"?{MASK}", text) if "://" in text else text


def _in_environ(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in list(environ.items()):
        if not value:
            continue
        if name in _WHOLE:
            yield from _spellings(value.strip())
        elif _HEADERS.fullmatch(name):
            for header in value.split(","):
                # A header that is not of the form name=value is a mistake, and may be all secret.
                yield from _spellings(header.partition("=")[2] or header.partition(":")[2] or header)
        elif _URLS.fullmatch(name.upper()):
            yield from _secrets_of_url(value)


def _secrets_of_url(url: str) -> Iterator[str]:
    before, _, query = url.partition("#")[0].partition("?")
    netloc = before.partition("://")[2].partition("/")[0]
    if "@" in netloc:
        userinfo = netloc.rpartition("@")[0]
        yield from _spellings(userinfo)
        yield from _spellings(userinfo.partition(":")[2])
    for pair in query.split("&"):
        yield from _spellings(pair.partition("=")[2])


def _spellings(secret: str) -> Iterator[str]:
    """A secret as messages may spell it: as it is, decoded, escaped, and its words alone (`Bearer …`)."""
    for text in {secret.strip(), unquote(secret).strip(), unquote_plus(secret).strip()}:
        for part in (text, *text.split()):
            if len(part) >= _SHORTEST and part.lower() not in {"bearer", "digest"}:
                yield part
                yield repr(part)[1:-1]
                yield part.encode("ascii", "backslashreplace").decode()
