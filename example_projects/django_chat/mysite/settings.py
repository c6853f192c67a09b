"""The project's settings. What the chat added is at the end, and one line in INSTALLED_APPS."""

import os
from pathlib import Path

import tokenstream

BASE_DIR = Path(__file__).resolve().parent.parent

# For your own machine. Elsewhere set both.
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "no secret: everyone can read this example")
DEBUG = os.environ.get("DJANGO_DEBUG", "1") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "notes",
    "chat",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"
ASGI_APPLICATION = "mysite.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DJANGO_CHAT_DATABASE", BASE_DIR / "db.sqlite3"),
        # So that two who write at once wait for each other, and none is told "locked".
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"

# The script that reads a stream in the browser comes with tokenstream.
STATICFILES_DIRS = [("tokenstream", Path(tokenstream.__file__).parent / "static")]

# What answers: a function from messages to tokens. DJANGO_CHAT_MODEL=smollm2 is a real one.
CHAT_MODEL = f"chat.llm.{os.environ.get('DJANGO_CHAT_MODEL', 'script')}"
