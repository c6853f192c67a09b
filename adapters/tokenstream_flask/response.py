"""The response."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import copy_context
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Self

import flask
from flask import Flask, Response, current_app, has_request_context, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from tokenstream import Result, TokenStream, Wire, WireName, sse
from tokenstream.errors import UsageError
from tokenstream.headers import merged
from tokenstream.host import Host
from tokenstream.native import are_greenlets
from tokenstream.opening import is_async, loop_runs_here, refuse_opened
from tokenstream.reconnect import Answer, OnReconnect, Request, answer, run_id_for
from tokenstream.refusal import refusal
from tokenstream.warn import warn_of_server
from tokenstream.wires import find_wire
from tokenstream.wsgi import disconnect_probe, hanger_up

from .body import Body, Chunks
from .config import options_for
from .context import Lease

__all__ = [
    "NoRequest",
    "TokenStreamResponse",
    "asked_by",
    "flask_response",
    "is_response",
    "need_request",
    "refused_or_raised",
]


class NoRequest(UsageError, RuntimeError):
    """A response was made where no request is being handled."""


class TokenStreamResponse(Response):
    """A `flask.Response` that streams one source.

    source, wire, **stream_options: see `tokenstream.TokenStream`. What is not
        given is `app.config["TOKENSTREAM_KEEP_ALIVE"]` and so on, if it is there.
    status, headers: the response's; the stream's own headers are added.
    on_reconnect: what an EventSource that comes back gets: "refuse" (an error
        event, then 204; the default) or "rerun" (the generation again).

    `request`, `session` (to read) and `g` are there in the source, and the
    request is torn down once, after the last token. The source is started when
    the server asks for the first chunk, or by `prime()`. What it raises until then
    and has a status of its own (`UpstreamError`, `PromptTooLong`, `BodyTooLarge`,
    `BadRequest`, a limit that passed) gets it, in the wire's own shape.

    Raises `NoRequest` outside of a request, `InvalidOption`, `UnknownWire`, and
    `NotASource`.
    """

    # What asks for the whole body, an ETag say, would wait for the end of the stream.
    implicit_sequence_conversion = False
    _chunks: Chunks | None = None
    _own_headers: Mapping[str, str] = MappingProxyType({})

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Return a response of the app's own kind, too: Flask would turn it into one."""
        need_request(cls.__name__)
        own: Any = current_app.response_class
        kind: type[Self] = _also(cls, own)  # type: ignore[arg-type]  # a class is hashable
        return super().__new__(kind)

    def __init__(
        self,
        source: object,
        wire: WireName | Wire | None = None,
        *,
        status: int | str | HTTPStatus = 200,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        on_reconnect: OnReconnect | None = None,
        **stream_options: Any,
    ) -> None:
        if loop_runs_here():
            refuse_opened(source)
        chosen = {"wire": wire, "on_reconnect": on_reconnect}
        given = {name: value for name, value in chosen.items() if value is not None}
        options = options_for(current_app.config, given | stream_options)
        asked = asked_by(request)
        terms = find_wire(options["wire"]), options.pop("on_reconnect")
        self._lease = Lease()
        options["on_finish"] = self._lease.until_finished(options.get("on_finish"))
        stream = TokenStream(source, **options, host=_host(run_id_for(asked, *terms)))
        own = merged(stream.headers | _identity(current_app), headers)
        self._own_headers = dict(headers or ())
        whole = None if asked.method == "HEAD" else answer(asked, *terms)
        if whole is None:
            _read_body_for(source)
            self._chunks = Chunks(stream, copy_context(), self._lease)
            super().__init__(self._chunks, status, own)
        else:
            stream.close()
            self._init_whole(whole, own)

    def prime(self) -> object | None:
        """Start the source and wait for its first part, for at most the option `prime` seconds.

        Returns None, the finished response that the source returned instead of
        parts, or that of an error which has a status of its own. Raises what else
        the source raised before its first part.
        """
        if self._chunks is None:
            return None
        try:
            return self._chunks.prime()
        except Exception as error:
            return refused_or_raised(
                error, self._chunks.wire, self._own_headers, self._chunks.on_error
            )

    def collect(self) -> tuple[Result | None, bytes]:
        """Read the stream to its end, in the view, after `prime`."""
        if self._chunks is None:
            return None, b""
        body = Body(self._chunks, self._lease)
        try:
            whole = b"".join(body)
            return self._chunks.result, whole
        finally:
            body.close()

    def iter_encoded(self) -> Iterator[bytes]:
        """Return the stream as it is: its chunks are bytes, and a layer costs each a call."""
        chunks, response = self._chunks, self.response
        return chunks if chunks is not None and response is chunks else super().iter_encoded()

    def get_app_iter(self, environ: dict[str, Any]) -> Any:
        """Return the body for the server: Flask calls this just before it pops its contexts."""
        chunks = super().get_app_iter(environ)
        return Body(chunks, self._lease) if has_request_context() else chunks

    def get_wsgi_headers(self, environ: dict[str, Any]) -> Headers:
        """Return the headers without the server's own, which an `after_request` may have set."""
        headers = super().get_wsgi_headers(environ)
        for name, value in list(headers):
            if not merged({}, {name: value}):
                headers.remove(name)
        return headers

    def _init_whole(self, whole: Answer, headers: Mapping[str, str]) -> None:
        if whole.status == HTTPStatus.NO_CONTENT:
            super().__init__([], whole.status, whole.headers)
            del self.headers["Content-Type"]
        else:
            super().__init__([whole.body], whole.status, headers)


def refused_or_raised(
    error: Exception,
    wire: Wire,
    headers: Mapping[str, str] | None = None,
    on_error: Callable[[BaseException], str] | None = None,
) -> Response:
    """Return the response of an error that has a status of its own; raise another."""
    if (answer := refusal(error, wire, headers, on_error)) is None:
        raise error
    return flask_response(answer)


def flask_response(answer: Answer) -> Response:
    """Return a whole answer as a response of the app's own kind."""
    return current_app.response_class(answer.body, answer.status, dict(answer.headers))


def need_request(name: str) -> None:
    """Raise `NoRequest` where no request is being handled."""
    if not has_request_context():
        raise NoRequest(
            f"{name} was used outside of a request: use it in a view, "
            "or in a test inside of `with app.test_request_context():`"
        )


def _read_body_for(source: object) -> None:
    """Read the request's body here where an async source could not.

    Under gevent the loop has a thread of its own, and a socket may be read in its own
    thread only.
    """
    if are_greenlets() and is_async(source):
        request.get_data()


def _host(run_id: str | None) -> Host:
    warn_of_server(request.environ)
    return Host(
        is_response=is_response,
        run_id=run_id,
        has_left=disconnect_probe(request.environ),
        hang_up=hanger_up(request.environ),
    )


def asked_by(request: flask.Request) -> Request:
    """Return what of a request decides about ids and reconnects."""
    headers = request.headers
    return Request(request.method, headers.get("Accept", ""), headers.get("Last-Event-ID", ""))


def is_response(value: object) -> bool:
    """Tell a finished response from a source, where a str or a tuple may be anything."""
    if isinstance(value, tuple):
        return bool(value) and is_response(value[0])
    return isinstance(value, BaseResponse | HTTPException)


@functools.lru_cache(maxsize=64)
def _also(cls: Any, response_class: Any) -> Any:
    if issubclass(cls, response_class):
        return cls
    return type(cls.__name__, (cls, response_class), {"__module__": cls.__module__})


def _identity(app: Flask) -> dict[str, str]:
    """Keep Flask-Compress away: asked to compress event streams, it holds them to their end.

    It leaves them alone by default. Its own defaults in the config show that it
    is there: it has no entry in `app.extensions`.
    """
    config = app.config
    opted_in = sse.MEDIA_TYPE in config.get("COMPRESS_MIMETYPES", ())
    return {"Content-Encoding": "identity"} if opted_in and config.get("COMPRESS_STREAMS") else {}
