"""Servers that have no command line: `python run.py wsgiref|werkzeug module:app port`."""

from __future__ import annotations

import sys
from importlib import import_module
from wsgiref.simple_server import make_server

from werkzeug.serving import run_simple

server, target, port = sys.argv[1:]
module, name = target.split(":")
app = getattr(import_module(module), name)

if server == "wsgiref":
    make_server("127.0.0.1", int(port), app).serve_forever()
else:
    run_simple("127.0.0.1", int(port), app, threaded=True)
