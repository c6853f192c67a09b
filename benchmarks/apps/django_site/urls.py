"""A path for each way to stream."""

from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("hand", views.hand),
    path("hand-async", views.hand_async),
    path("ours", views.ours),
    path("ours-no-keep-alive", views.ours_no_keep_alive),
    path("ours-async", views.ours_async),
]
