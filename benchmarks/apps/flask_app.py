"""Flask: a stream as one writes it by hand from the docs, and ours with everything on.

`?tokens=500&pause=0.02`: how many tokens, and the seconds before each; with no
pause the source never waits.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from flask import Flask, Response, request, stream_with_context

from tokenstream import Result
from tokenstream_flask import token_stream

TOKEN = " token"

app = Flask(__name__)
outcomes: Counter[str] = Counter()


def tokens() -> Iterator[str]:
    pause = request.args.get("pause", 0.0, float)
    for _ in range(int(request.args["tokens"])):
        if pause:
            time.sleep(pause)
        yield TOKEN


def note(result: Result) -> None:
    outcomes[result.outcome] += 1


@app.get("/hand")
def hand() -> Response:
    def events() -> Iterator[str]:
        for token in tokens():
            yield f"data: {token}\n\n"
        yield "data: [DONE]\n\n"

    return Response(
        stream_with_context(events()),
        mimetype="text/event-stream",
        headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
    )


@app.get("/ours")
@token_stream("text", on_finish=note)
def ours() -> Iterator[str]:
    yield from tokens()


@app.get("/ours-no-keep-alive")
@token_stream("text", on_finish=note, keep_alive=None)
def ours_no_keep_alive() -> Iterator[str]:
    yield from tokens()
