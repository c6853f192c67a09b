"""`/plain/...` is Flask's, `/django/...` is Django's."""

from __future__ import annotations

from typing import Any

import django_app
from flask import Flask, request
from ledger import OPTIONS, source_of

from tokenstream_flask import token_stream

flask = Flask(__name__)


@flask.route("/plain/<kind>", methods=["GET", "POST"])
@token_stream(**OPTIONS)
def view(kind: str) -> Any:
    return source_of(request.args.to_dict())


def app(environ: dict[str, Any], start_response: Any) -> Any:
    """Serve both."""
    is_django = environ["PATH_INFO"].startswith("/django/")
    return (django_app.wsgi if is_django else flask)(environ, start_response)
