"""The targets, by the key of the row that they belong to: the only place where they stand."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """What a row may be at most, in the row's unit."""

    key: str
    what: str
    at_most: float


_ALL = (
    Target("asgi.hot.raw", "hot async source, CPU a token / hand-written raw loop", 0.18),
    Target("asgi.hot.sse-starlette", "the same / sse-starlette", 0.06),
    Target("asgi.hot.fastapi", "the same / FastAPI `EventSourceResponse`", 0.015),
    Target("asgi.chat.raw", "hot, wire `openai-chat` / raw loop with `json.dumps`", 0.08),
    Target("asgi.paced.raw", "paced, 100 streams x 20 ms, everything on / raw loop", 1.25),
    Target("asgi.paced.sse-starlette", "the same / sse-starlette", 0.7),
    Target("asgi.paced.fastapi", "the same / FastAPI `EventSourceResponse`", 0.28),
    Target("asgi.sync-hot.starlette", "sync generator under ASGI, hot / Starlette", 0.01),
    Target("asgi.sync-paced.starlette", "the same, paced, 30 streams / Starlette", 0.5),
    Target("django.asgi.hot", "Django under ASGI, hot async source / hand-written", 0.2),
    Target("django.gthread.hot", "Django on gthread, hot / hand-written", 0.25),
    Target("flask.gthread.hot", "Flask on gthread, hot / hand-written", 0.25),
    Target("django.gthread.paced", "Django on gthread, paced, keep-alive on / hand-written", 1.5),
    Target("flask.gthread.paced", "Flask on gthread, paced, keep-alive on / hand-written", 1.5),
    Target("django.gthread.paced-off", "Django, the same, keep-alive off", 1.1),
    Target("flask.gthread.paced-off", "Flask, the same, keep-alive off", 1.1),
    Target("idle.memory.starlette", "idle stream, memory above the connection / Starlette", 1.1),
    Target("idle.tasks", "idle stream: tasks besides the request's own", 2),
    Target("idle.threads", "idle stream: threads, async source", 0),
    Target("idle.keep-alive", "5,000 idle streams, keep-alive every 15 s: CPU of a core", 3),
    Target("asgi.latency.async", "token yielded to its bytes at the reader, above raw", 40),
    Target("asgi.latency.sync", "the same, sync source", 60),
    Target("asgi.first-byte.async", "time to first byte above raw", 150),
    Target("asgi.first-byte.sync", "the same, sync source", 300),
    Target("framing.text.bare", "a text token framed / bytes joined by hand", 3),
    Target("framing.openai-chat.bare", "the same by the wire `openai-chat` alone", 3),
    Target("framing.openai-chat.models", "a token on `openai-chat` / OpenAI's models", 0.08),
    Target("asgi.fairness", "a paced stream's p99 lag beside 4 hot ones", 10),
)

TARGETS = {target.key: target for target in _ALL}
