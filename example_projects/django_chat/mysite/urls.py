"""The project's pages."""

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [
    path("", include("notes.urls")),
    path("chat/", include("chat.urls")),
    path("admin/", admin.site.urls),
    # runserver serves static files by itself; this is for gunicorn and uvicorn, while DEBUG is on.
    *staticfiles_urlpatterns(),
]
