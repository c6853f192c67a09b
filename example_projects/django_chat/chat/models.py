"""Conversations, as they are stored when a reply has ended."""

from typing import Self

from django.contrib.sessions.backends.base import SessionBase
from django.db import models

from tokenstream import Result


class Conversation(models.Model):
    started = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"Conversation {self.pk}"

    @classmethod
    def of(cls, session: SessionBase) -> Self | None:
        """Return the one that a visitor is in; a login of your own would be a better key."""
        return cls.objects.filter(pk=session.get("conversation")).first()

    @classmethod
    def begun_by(cls, session: SessionBase) -> Self:
        """Return it, or a new one."""
        conversation = cls.of(session) or cls.objects.create()
        session["conversation"] = conversation.pk
        return conversation

    def history(self) -> list[dict[str, str]]:
        """Return what was said so far, as models take it."""
        said = self.messages.exclude(text="")
        return [{"role": message.role, "content": message.text} for message in said]

    def store_reply(self, result: Result) -> None:
        """Store what came of a reply, whole or not: tokenstream calls this once, at its end."""
        self.messages.create(role="assistant", text=result.text, outcome=result.outcome)


class Message(models.Model):
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages"
    )
    role = models.CharField(max_length=9, choices=[("user", "user"), ("assistant", "assistant")])
    text = models.TextField(blank=True)
    # How a reply ended: "completed", "disconnected" where the reader left, "failed" and so on.
    outcome = models.CharField(max_length=12, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.role}: {self.text[:50]}"
