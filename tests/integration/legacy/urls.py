from django.urls import path

from legacy import views
from legacy.later.views import later

urlpatterns = [
    path("login/<str:name>", views.login),
    path("whoami", views.whoami, name="whoami"),
    path("upload", views.upload),
    path("announce/<str:room>", views.announce),
    path("members/<str:room>", views.members),
    path("post/<slug:slug>/<str:body>", views.post),
    path("value/<str:name>/<int:value>", views.value),
    path("values", views.values),
    path("bridge", views.bridge),
    path("later", later),
]
