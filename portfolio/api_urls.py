"""The JSON doors of this app, below /api/v1/ (no trailing slashes: the floor strips them)."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
