"""gevent's own server: `python run_gevent.py patched|plain module:app port`."""

from __future__ import annotations

import sys

from gevent import monkey

how, target, port = sys.argv[1:]
if how == "patched":
    monkey.patch_all()

# What is patched is imported after the patch, as gevent wants it.
from importlib import import_module

from gevent.pywsgi import WSGIServer

module, name = target.split(":")
app = getattr(import_module(module), name)
WSGIServer(("127.0.0.1", int(port)), app, log=None).serve_forever()
