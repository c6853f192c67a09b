from __future__ import annotations

import secrets
import tempfile
from pathlib import Path

SECRET_KEY = secrets.token_urlsafe()
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "django_project.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
_folder = tempfile.TemporaryDirectory(prefix="tokenstream-tests-")  # gone with the process
_file = str(Path(_folder.name) / "file.sqlite3")
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    # As in production: a connection is not the database, and each thread may have one.
    "file": {"ENGINE": "django.db.backends.sqlite3", "NAME": _file, "TEST": {"NAME": _file}},
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "django_project",
]
# Their tables are made as the models are now: the migrations' whole history takes seconds.
MIGRATION_MODULES = dict.fromkeys(["auth", "contenttypes", "sessions"])
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
