"""The options of a stream: those given, over those of the app's config."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from tokenstream import TokenStream
from tokenstream.errors import InvalidOption
from tokenstream.reconnect import check_on_reconnect

__all__ = ["OPTIONS", "PREFIX", "check_names", "options_for"]

PREFIX = "TOKENSTREAM_"
"""`app.config["TOKENSTREAM_KEEP_ALIVE"]` is the default of `keep_alive`, and so on."""

OPTIONS: frozenset[str] = frozenset(
    name
    for name, parameter in inspect.signature(TokenStream).parameters.items()
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name != "host"
) | {"wire", "on_reconnect"}
"""What may be set for the whole app: the options of `TokenStream`, the wire, `on_reconnect`."""


def options_for(config: Mapping[Any, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a stream: `given`, else the app's, else the package's.

    Raises `InvalidOption` for a name that is none, in `config` too.
    """
    check_names(given, OPTIONS)
    options: dict[str, Any] = {"wire": "json", "on_reconnect": "refuse"}
    options |= _defaults(config)
    options |= given
    check_on_reconnect(options["on_reconnect"])
    return options


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise `InvalidOption` for a name in `given` that is not in `known`."""
    for name in given:
        if name not in known:
            raise InvalidOption(f"no option is named {name!r}: known are {_listed(known)}")


def _defaults(config: Mapping[Any, Any]) -> dict[str, Any]:
    keys = [key for key in config if isinstance(key, str) and key.startswith(PREFIX)]
    known = {PREFIX + name.upper(): name for name in OPTIONS}
    for key in keys:
        if key not in known:
            raise InvalidOption(f"no config key is named {key!r}: known are {_listed(known)}")
    return {known[key]: config[key] for key in keys}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
