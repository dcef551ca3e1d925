import hashlib

from channels import Group
from django import http
from django.contrib import auth

from legacy.binding.models import IntegerValue
from legacy.liveblog.models import Liveblog


def login(request, name):
    user, is_new = auth.get_user_model().objects.get_or_create(username=name)
    auth.login(request, user)
    return http.HttpResponse(request.session.session_key)


def whoami(request):
    return http.HttpResponse(request.user.username or "nobody")


def upload(request):
    given = request.FILES["file"]
    digest = hashlib.sha256()
    for chunk in given.chunks():
        digest.update(chunk)
    return http.JsonResponse({"name": given.name, "size": given.size, "sha256": digest.hexdigest()})


def announce(request, room):
    Group("chat-%s" % room).send({"text": request.GET["text"]})
    return http.HttpResponse("announced")


def post(request, slug, body):
    blog, is_new = Liveblog.objects.get_or_create(slug=slug)
    blog.posts.create(body=body)
    return http.HttpResponse("posted")


def value(request, name, value):
    IntegerValue.objects.update_or_create(name=name, defaults={"value": value})
    return http.HttpResponse("changed")


def values(request):
    return http.JsonResponse(dict(IntegerValue.objects.values_list("name", "value")))
