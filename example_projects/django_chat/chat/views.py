"""The chat's page, and the view that streams."""

import json
from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils.module_loading import import_string
from django.views.decorators.http import require_GET, require_POST

from tokenstream_django import token_stream

from .models import Conversation

MAX_LENGTH = 4000


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    conversation = Conversation.of(request.session)
    said = conversation.messages.all() if conversation else ()
    return render(request, "chat/chat.html", {"said": said, "max_length": MAX_LENGTH})


@require_POST
def reply(request: HttpRequest) -> HttpResponseBase:
    if not (text := question_in(request)):
        return JsonResponse({"error": f"Send 1 to {MAX_LENGTH} characters."}, status=400)
    conversation = Conversation.begun_by(request.session)
    conversation.messages.create(role="user", text=text)

    # Inside, since `on_finish` must know whose reply it stores.
    @token_stream("json", on_finish=conversation.store_reply)
    def stream(request: HttpRequest) -> Iterator[object]:
        answer = import_string(settings.CHAT_MODEL)
        yield from answer(conversation.history())

    return stream(request)


@require_POST
def new(request: HttpRequest) -> HttpResponse:
    request.session.pop("conversation", None)
    return redirect("chat")


def question_in(request: HttpRequest) -> str | None:
    try:
        text = json.loads(request.body)["text"].strip()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return text if len(text) <= MAX_LENGTH else None
