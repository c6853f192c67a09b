"""The page, and what it asks."""

from django.urls import path

from . import views

urlpatterns = [
    path("", views.page, name="chat"),
    path("reply", views.reply, name="chat-reply"),
    path("new", views.new, name="chat-new"),
]
