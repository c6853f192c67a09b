"""A loop that counts what it is asked for."""

from __future__ import annotations

import asyncio

__all__ = ["CountingLoop"]


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts what is made, and each step that a task, a callback or a timer is given."""

    def __init__(self):
        super().__init__()
        self.tasks = self.timers = self.steps = self.calls = 0

    def create_task(self, coro, **options):
        self.tasks += 1
        return super().create_task(coro, **options)

    def call_soon(self, callback, *args, context=None):
        self.steps += 1
        return super().call_soon(callback, *args, context=context)

    def call_at(self, when, callback, *args, context=None):
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)

    def call_soon_threadsafe(self, callback, *args, context=None):
        self.calls += 1
        return super().call_soon_threadsafe(callback, *args, context=context)
