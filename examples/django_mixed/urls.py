"""Where Django's views are."""

from django.contrib.auth.views import LoginView
from django.urls import path

from examples.django_mixed.shop import views

urlpatterns = [
    path("", views.index),
    path("login", LoginView.as_view(template_name="login.html")),
    path("whoami", views.whoami),
    path("upload", views.upload),
    path("rows.csv", views.rows),
    path("views.py", views.source),
    path("conditional", views.conditional),
    path("where", views.where),
    path("slow-query", views.slow_query),
    path("broken", views.broken),
    path("count", views.count),
]
