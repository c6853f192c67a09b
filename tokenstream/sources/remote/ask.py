"""What is sent: a chat in OpenAI's shape to the request of either API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import httpx

from ...errors import InvalidOption
from ...shown import shown, type_name
from .claude import anthropic_body
from .secrets import Secrets, secret_values

__all__ = ["Api", "Ask", "ask"]

Api: TypeAlias = Literal["openai", "anthropic"]

_PROTOCOLS: Mapping[Api, str] = {"openai": "openai-chat", "anthropic": "anthropic"}
Message: TypeAlias = Mapping[str, Any]

_VERSION = "2023-06-01"

_NOT_OPENAIS = frozenset({"thinking_blocks", "reasoning_content", "is_error"})
"""What a `ChatRequest` has for other APIs: strict servers refuse a field that they don't know."""


@dataclass(frozen=True)
class Ask:
    """One request. What it is asked with is in no `repr`.

    protocol: the name of the wire that speaks as the API does.
    """

    protocol: str
    url: httpx.URL
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    secrets: Secrets = field(repr=False)


def ask(
    base_url: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    model: str,
    api_key: str | None,
    api: Api,
    headers: Mapping[str, str] | None,
    params: Mapping[str, Any],
) -> Ask:
    """Return the request. Raises `InvalidOption`, which shows no key."""
    if api not in get_args(Api):
        raise InvalidOption(f"api={shown(api)}: it must be one of {', '.join(get_args(Api))}")
    _check(messages, model, api_key, params)
    body = {"model": model, **_BODIES[api](list(messages), params), "stream": True}
    own = dict(headers or {})
    return Ask(
        _PROTOCOLS[api],
        _url(base_url, api),
        _headers(api, api_key) | {name.lower(): _header(name, own[name]) for name in own},
        _json(body),
        Secrets(api_key, secret_values(own)),
    )


def _check(messages: Any, model: object, api_key: object, params: Mapping[str, Any]) -> None:
    is_list = isinstance(messages, Sequence) and not isinstance(messages, str | bytes)
    if not is_list or not messages or not all(isinstance(it, Mapping) for it in messages):
        raise InvalidOption(
            f"the messages are {type_name(messages)}: give a list of one or more, "
            'such as {"role": "user", "content": "Hello"}'
        )
    if not (isinstance(model, str) and model):
        raise InvalidOption(f"model={shown(model)}: give the model's name")
    if not (api_key is None or isinstance(api_key, str)):
        raise InvalidOption("api_key must be a str or None")
    if "stream" in params:
        raise InvalidOption("stream_chat always streams: leave `stream` out")


def _url(base_url: str, api: Api) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError):
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        # Not with its value: there may be a password in it.
        raise InvalidOption("base_url: give an address such as https://api.example.com/v1")
    if url.userinfo or url.query or url.fragment:
        raise InvalidOption(
            "base_url has a password, a query or a fragment, which logs would show: "
            "give a key as api_key or in headers"
        )
    base = url.path.rstrip("/")
    if api == "openai":
        path = "/chat/completions"
    else:  # as Anthropic's own SDK has it, or as OpenAI's has
        path = "/messages" if base.endswith("/v1") else "/v1/messages"
    return url.copy_with(path=base + path)


def _headers(api: Api, api_key: str | None) -> dict[str, str]:
    # What compresses a stream holds it back.
    headers = {
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "content-type": "application/json",
    }
    if api == "anthropic":
        headers["anthropic-version"] = _VERSION
    if api_key:
        key = _header("api_key", api_key)
        headers |= {"x-api-key": key} if api == "anthropic" else {"authorization": f"Bearer {key}"}
    return headers


def _header(name: str, value: object) -> str:
    if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
        raise InvalidOption(
            f"{name} has a character that no header can carry (a line end, say): remove it"
        )
    return value


def _json(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidOption(f"the request can't be told as JSON: {error}") from None


def _openai_body(messages: list[Message], params: Mapping[str, Any]) -> dict[str, Any]:
    options = params.get("stream_options", {})
    if isinstance(options, Mapping):
        # Servers count only where they are asked to.
        params = {**params, "stream_options": {**options, "include_usage": True}}
    return {"messages": [_openai_message(it) for it in messages], **_given(params)}


def _openai_message(message: Message) -> Message:
    if _NOT_OPENAIS.isdisjoint(message):
        return message
    return {name: value for name, value in message.items() if name not in _NOT_OPENAIS}


def _anthropic_body(messages: list[Message], params: Mapping[str, Any]) -> dict[str, Any]:
    return anthropic_body(messages, _given(params))


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is there: `tools=[]` and `stop=None` of a `ChatRequest` are not."""
    return {name: value for name, value in params.items() if value is not None and value != []}


_BODIES = {"openai": _openai_body, "anthropic": _anthropic_body}
