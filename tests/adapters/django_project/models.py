from __future__ import annotations

from django.db import models


class Message(models.Model):
    text = models.TextField()
