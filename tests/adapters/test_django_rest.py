"""Django REST framework: negotiation, its request, and its exceptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import Http404
from rest_framework.exceptions import NotAuthenticated, ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

import tokenstream_django
from tokenstream.testing import ScriptedSource, read_stream
from tokenstream_django import EventStreamMixin, TokenStreamResponse, token_stream

EVENTS = {"Accept": "text/event-stream"}
Serve = Callable[..., str]


class Chat(EventStreamMixin, APIView):
    def get(self, request: Any) -> TokenStreamResponse:
        return TokenStreamResponse(["a", "b"], request=request)

    def post(self, request: Any) -> TokenStreamResponse:
        if "q" not in request.data:
            raise ValidationError({"q": "is missing"})
        return TokenStreamResponse(lambda: [request.data["q"]], request=request)


class Plain(APIView):
    def post(self, request: Any) -> TokenStreamResponse:
        return TokenStreamResponse(["a"], request=request)


def test_without_the_mixin_it_is_a_406(serve: Serve) -> None:
    assert APIClient().post(serve(Plain.as_view()), headers=EVENTS).status_code == 406


def test_a_client_that_accepts_only_events(serve: Serve) -> None:
    response = APIClient().post(serve(Chat.as_view()), {"q": "hi"}, format="json", headers=EVENTS)
    assert response.status_code == 200
    assert response["Content-Type"] == "text/event-stream; charset=utf-8"
    assert read_stream(response).read().tokens == ["hi"]


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json", "*/*"])
def test_errors_stay_json(accept: str, serve: Serve) -> None:
    response = APIClient().post(serve(Chat.as_view()), {}, headers={"Accept": accept})
    assert (response.status_code, response.json()) == (400, {"q": "is missing"})
    assert response["Content-Type"] == "application/json"


def test_errors_are_json_though_the_browsable_api_comes_first(serve: Serve) -> None:
    class Browsable(Chat):
        renderer_classes = (BrowsableAPIRenderer, JSONRenderer)

    response = APIClient().post(serve(Browsable.as_view()), {}, headers=EVENTS)
    assert (response.status_code, response["Content-Type"]) == (400, "application/json")


def test_other_types_are_still_refused(serve: Serve) -> None:
    path = serve(Chat.as_view())
    for accept in ("image/png", "text/event-stream;q=0"):
        assert APIClient().post(path, {"q": "a"}, headers={"Accept": accept}).status_code == 406


def test_permissions_are_still_checked(serve: Serve) -> None:
    class Private(Chat):
        permission_classes = (IsAuthenticated,)

    response = APIClient().post(serve(Private.as_view()), {"q": "a"}, headers=EVENTS)
    assert response.status_code == 403
    assert response["Content-Type"] == "application/json"


def test_an_event_source_gets_ids_and_its_reconnects_are_answered(serve: Serve) -> None:
    path = serve(Chat.as_view())
    run = read_stream(APIClient().get(path, headers=EVENTS)).read().events[0].id
    again = APIClient().get(path, headers={**EVENTS, "Last-Event-ID": f"{run}.end"})
    assert again.status_code == 204


# The decorator on a method.


class Decorated(EventStreamMixin, APIView):
    source = ScriptedSource()

    @token_stream("json")
    def post(self, request: Any) -> Iterator[str]:
        if "q" not in request.data:
            raise ValidationError({"q": "is missing"})
        if request.data["q"] == "nothing":
            raise Http404
        if request.data["q"] == "who":
            raise NotAuthenticated
        if request.data["q"] == "later":
            return Response({"queued": True}, status=202)
        yield request.data["q"]

    @token_stream("json")
    def get(self, request: Any) -> object:
        return self.source


def test_a_decorated_method(serve: Serve) -> None:
    path = serve(Decorated.as_view())
    response = APIClient().post(path, {"q": "hi"}, headers=EVENTS)
    assert read_stream(response).read().tokens == ["hi"]


@pytest.mark.parametrize(
    "data, status",
    [({}, 400), ({"q": "nothing"}, 404), ({"q": "who"}, 403), ({"q": "later"}, 202)],
)
def test_what_comes_before_the_first_part_is_rest_framework_s(
    data: dict[str, str], status: int, serve: Serve
) -> None:
    response = APIClient().post(serve(Decorated.as_view()), data, headers=EVENTS)
    assert response.status_code == status
    assert response["Content-Type"] == "application/json"


def test_head_does_not_start_the_source(serve: Serve) -> None:
    response = APIClient().head(serve(Decorated.as_view()), headers=EVENTS)
    assert response.status_code == 200
    assert not Decorated.source.started.is_set()


def test_there_is_no_other_lazy_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'EventSourceMixin'"):
        _ = tokenstream_django.EventSourceMixin
