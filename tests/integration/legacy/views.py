import hashlib

from channels import Group
from django import http
from django.contrib import auth
from django.contrib.staticfiles import finders

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


def members(request, room):
    return http.JsonResponse(list(Group("chat-%s" % room).channel_layer.group_channels("chat-%s" % room)), safe=False)


def post(request, slug, body):
    blog, is_new = Liveblog.objects.get_or_create(slug=slug)
    blog.posts.create(body=body)
    return http.HttpResponse("posted")


def value(request, name, value):
    IntegerValue.objects.update_or_create(name=name, defaults={"value": value})
    return http.HttpResponse("changed")


def values(request):
    return http.JsonResponse(dict(IntegerValue.objects.values_list("name", "value")))


def bridge(request):
    with open(finders.find("channels/js/websocketbridge.js"), encoding="utf-8") as file:
        return http.HttpResponse("<script>%s</script><script>%s</script>" % (file.read(), PAGE))


PAGE = """
    var heard = [], opened = 0;
    var streams = new channels.WebSocketBridge();
    streams.connect("/streams", undefined, {minReconnectionDelay: 1});
    streams.listen(function (action, stream) { heard.push(["none", action]); });
    streams.demultiplex("echo", function (action, stream) { heard.push([stream, action]); });
    streams.socket.addEventListener("open", function () {
        opened += 1;
        streams.stream("echo").send({number: opened});
    });
    var plain = new channels.WebSocketBridge();
    plain.connect("ws://" + window.location.host + "/json");
    plain.listen(function (action, stream) { heard.push([stream, action]); });
    plain.socket.onopen = function () { plain.send({a: 1}); };
"""
