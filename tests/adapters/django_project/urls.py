"""Each test puts its own views here, by the fixture `serve`."""

from __future__ import annotations

urlpatterns: list[object] = []
