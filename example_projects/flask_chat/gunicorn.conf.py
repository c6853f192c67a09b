"""`gunicorn`, with no arguments, serves the chat."""

wsgi_app = "app:create_app()"
bind = "127.0.0.1:8000"

# An open stream holds a thread: this is how many readers there may be.
worker_class = "gthread"
threads = 32

# Each worker has a model and a secret of its own; set FLASK_CHAT_SECRET for more.
workers = 1

# A worker may load SmolLM2 first, and the very first time it is fetched.
timeout = 600
