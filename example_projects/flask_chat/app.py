"""A chat in Flask: a page, and one view that streams."""

from __future__ import annotations

import hmac
import os
import secrets

from flask import Flask, abort, render_template, request, session
from models import Model, load
from werkzeug.exceptions import BadRequest

from tokenstream_flask import token_stream


def create_app(model: Model | None = None) -> Flask:
    model = model or load(os.environ.get("FLASK_CHAT_MODEL", "scripted"))
    app = Flask(__name__)
    # A secret that is made here is gone with the process, and the sessions with it.
    app.secret_key = os.environ.get("FLASK_CHAT_SECRET") or secrets.token_hex()
    app.config["MAX_CONTENT_LENGTH"] = 1 << 20

    @app.get("/")
    def page() -> str:
        csrf = session.setdefault("csrf", secrets.token_urlsafe())
        return render_template("chat.html", csrf=csrf)

    @app.post("/chat")
    @token_stream("json")
    def chat() -> object:
        check_csrf()
        return model(messages_of(request.get_json()))

    return app


def check_csrf() -> None:
    """Refuse what another site's page makes a browser send: it can't read the token in ours."""
    expected = session.get("csrf", "")
    given = request.headers.get("X-CSRF-Token", "")
    if not expected or not hmac.compare_digest(expected.encode(), given.encode()):
        abort(403, "This page is too old: reload it.")


def messages_of(body: object) -> list[dict[str, str]]:
    """Take from the body what the model gets, and nothing else."""
    match body:
        case {"messages": [*messages]} if messages:
            return [message_of(message) for message in messages]
    raise BadRequest("Give messages, such as [{'role': 'user', 'content': 'Hi'}].")


def message_of(message: object) -> dict[str, str]:
    match message:
        case {"role": "user" | "assistant" as role, "content": str(content)}:
            return {"role": role, "content": content}
    raise BadRequest(f"This is no message: {message!r:.100}")
