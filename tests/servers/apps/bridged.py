"""The WSGI apps behind the bridges that run them under ASGI."""

from __future__ import annotations

from a2wsgi import WSGIMiddleware
from asgiref.wsgi import WsgiToAsgi
from django_site.wsgi import application as django_app
from flask_app import app as flask_app

flask_asgiref = WsgiToAsgi(flask_app)
flask_a2wsgi = WSGIMiddleware(flask_app)
django_asgiref = WsgiToAsgi(django_app)
django_a2wsgi = WSGIMiddleware(django_app)
