"""The routes of all the apps here."""

from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("yielding/sync/<script>", views.yielding_sync),
    path("yielding/async/<script>", views.yielding_async),
    path("returning/<kind>/<script>", views.returning),
    path("coroutine/<kind>/<script>", views.Coroutine.as_view()),
    path("response/sync/<script>", views.response_sync),
    path("response/async/<script>", views.response_async),
    path("kept/<kind>/<script>", views.kept),
    path("inline/<kind>/<script>", views.inline),
    path("timed/<kind>/<script>", views.timed),
    path("broken/<kind>/<script>", views.broken),
    path("echo/sync", views.echo_sync),
    path("echo/async", views.echo_async),
    path("v1/chat/completions", views.chat),
    path("v1/models", views.models),
    path("v1/models/<path:model>", views.models),
]
