"""The page that the project had before the chat."""

from typing import Any

from django.urls import reverse_lazy
from django.views.generic import CreateView

from .models import Note


class Home(CreateView):
    model = Note
    fields = ("text",)
    template_name = "notes/home.html"
    success_url = reverse_lazy("home")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(notes=Note.objects.all(), **kwargs)
