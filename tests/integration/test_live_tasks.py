"""Django's tasks through running servers: from views to the workers that run them, and back as results."""

import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from processes import NEVER, PATIENCE, PYTHONPATH, eventually

pytestmark = pytest.mark.skipif(
    find_spec("django.tasks") is None and find_spec("django_tasks") is None, reason="neither Django 6 nor django-tasks"
)
FINISHED = ("SUCCESSFUL", "FAILED")


class Site:
    """A server, and what the tasks of its project have seen."""

    def __init__(self, folder, serve, *args, options=None, app="live_tasks:routes", **arguments):
        self.path = Path(folder, "seen")
        self.path.touch()
        self.env = {"SEEN": str(self.path), "TASK_OPTIONS": json.dumps(options or {})}
        self.server = serve(*args, "--threads", "4", app=app, env=self.env, **arguments)

    def ask(self, path, **asked):
        with self.server.client() as client:
            return client.post(path, content=json.dumps(asked))

    def enqueue(self, name, /, *args, path="/enqueue", using=None, **kwargs):
        answer = self.ask(path, task=name, args=args, kwargs=kwargs, using=using or {})
        assert answer.status_code == 200, answer.text
        return answer.text

    @property
    def seen(self):
        text = self.path.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]  # complete ones

    def wait_for(self, count=1, **keys):
        """Return what tasks have written down that has these keys, when there is so much of it."""

        def found():
            return [each for each in self.seen if keys.items() <= each.items()]

        eventually(lambda: len(found()) >= count, f"{count} times {keys}")
        return found()

    def result(self, id, path="/result"):
        with self.server.client() as client:
            answer = client.get(path, params={"id": id})
            assert answer.status_code == 200, answer.text
            return answer.json()

    def wait_for_result(self, id):
        eventually(lambda: self.result(id)["status"] in FINISHED, "the end of the task")
        return self.result(id)


@pytest.fixture(scope="module")
def local(serve_module, tmp_path_factory):
    return Site(tmp_path_factory.mktemp("local"), serve_module, "--workers", "2")


@pytest.fixture(scope="module")
def remote(serve_module, tmp_path_factory, redis):
    return Site(tmp_path_factory.mktemp("redis"), serve_module, "--channel-layer", f"{redis.url}?prefix=tasks&claim=1")


@pytest.fixture(params=["local", "remote"])
def site(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("path", ["/enqueue", "/a/aenqueue"])
def test_a_plain_task_runs_in_a_thread_and_a_coroutine_on_the_loop(site, path):
    name = f"one of {path}"
    site.enqueue("add", len(path), 100, path=path)
    site.enqueue("greet", name=name, path=path)
    [plain] = site.wait_for(sum=len(path) + 100)
    [on_loop] = site.wait_for(greeted=name)
    assert plain["thread"].startswith("uvicorn-")
    assert on_loop["thread"] == "MainThread"


def test_a_task_goes_out_when_its_transaction_is_committed(site):
    with site.server.client() as client:
        client.get("/on_commit", params={"text": "never", "fails": "1"})
        client.get("/on_commit", params={"text": "committed"})
    site.wait_for(text="committed")
    assert not [each for each in site.seen if each.get("text") == "never"]


def test_a_task_runs_after_its_time_and_not_before_others(site):
    site.enqueue("write_down", "far", using={"run_after": NEVER})
    site.enqueue("write_down", "now")
    site.wait_for(text="now")
    began = time.time()
    site.enqueue("write_down", "later", using={"run_after": 0.5})
    [later] = site.wait_for(text="later")
    assert later["at"] >= began + 0.5
    assert not [each for each in site.seen if each.get("text") == "far"]


def test_a_task_that_raises_is_logged_and_done_with(site, redis):
    for name in ("fail", "afail", "returns_no_json"):
        site.enqueue(name)
        site.server.wait_for_log(f"the task {name}")
    log = site.server.log()
    assert "LookupError: the reason" in log
    assert "LookupError: the reason on the loop" in log
    assert "Unsupported type" in log
    client = redis.client()
    eventually(lambda: client.xlen("tasks:{django.tasks.default}") == 0, "the acknowledgement of all tasks")
    client.close()


def test_a_task_that_the_backend_cannot_run_is_refused_where_it_is_enqueued(site):
    for asked, match in (
        ({"task": "add", "using": {"queue_name": "nowhere"}}, "nowhere"),
        ({"task": "add", "using": {"priority": 101}}, "priority"),
    ):
        with pytest.raises(AssertionError, match=match):
            site.enqueue(asked["task"], 1, 2, using=asked["using"])
    with site.server.client() as client:
        answer = client.get("/a/enqueue_on_loop")
    assert answer.text.startswith("SynchronousOnlyOperation")
    assert "aenqueue" in answer.text


def test_a_layer_without_results_says_so(local):
    id = local.enqueue("add", 3, 4)
    with local.server.client() as client:
        for path in ("/result", "/a/aresult"):
            answer = client.get(path, params={"id": id})
            assert answer.text == "NotImplementedError: local:// keeps no results of tasks: redis:// does"


def test_results_are_read_by_any_process(remote):
    value = remote.wait_for_result(remote.enqueue("add", 5, 6))
    assert (value["status"], value["value"], value["attempts"]) == ("SUCCESSFUL", 11, 1)
    assert remote.wait_for_result(remote.enqueue("greet", name="x"))["value"] == {"hello": "x"}
    assert remote.wait_for_result(remote.enqueue("by_another_name"))["value"] == "by another name"
    assert remote.result(remote.enqueue("write_down", "far", using={"run_after": 3600}))["status"] == "READY"
    for name, kind in (("fail", "LookupError"), ("afail", "LookupError"), ("returns_no_json", "TypeError")):
        failed = remote.wait_for_result(remote.enqueue(name))
        assert (failed["status"], failed["errors"][0][0]) == ("FAILED", kind)
        assert "Traceback" in failed["errors"][0][1]
    with remote.server.client() as client:
        assert client.get("/a/aresult", params={"id": "nothing"}).text.startswith("TaskResultDoesNotExist")


def test_a_task_whose_worker_is_killed_runs_again_and_knows_it(remote, tmp_path):
    id = remote.enqueue("attempt", until=str(tmp_path / "go"), dies=1)
    remote.wait_for(attempt=1, id=id)
    assert remote.result(id)["status"] == "RUNNING"
    (tmp_path / "go").touch()
    remote.wait_for(attempt=2, id=id)
    ended = remote.wait_for_result(id)
    # A worker that stood still for longer than its claim may have begun a second time before it was killed.
    assert (ended["status"], ended["value"]) == ("SUCCESSFUL", ended["attempts"])
    assert ended["attempts"] >= 2


def test_a_task_that_kills_each_of_its_workers_has_failed_in_the_end(redis, serve, tmp_path):
    layer = ("--channel-layer", f"{redis.url}?prefix=deadly&claim=1", "--channel-deliveries", "2")
    site = Site(tmp_path, serve, "--exclude-channels", "*", *layer)
    worker = serve("--only-channels", "*", *layer, app="live_tasks:routes", env=site.env, is_ready=False)
    (tmp_path / "go").touch()
    ended = site.wait_for_result(site.enqueue("attempt", until=str(tmp_path / "go"), dies=99))
    assert (ended["status"], ended["attempts"]) == ("FAILED", 2)
    assert ended["errors"] == [["TaskFailed", "delivered 2 times"]]
    worker.wait_for_log("A message of django.tasks.default is given up: delivered 2 times")


def test_background_workers_take_the_queues_that_they_are_told(redis, serve, tmp_path):
    layer = ("--channel-layer", f"{redis.url}?prefix=apart")
    site = Site(tmp_path, serve, "--exclude-channels", "*", *layer)
    mails = serve("--only-channels", "django.tasks.mail", *layer, app="live_tasks:routes", env=site.env, is_ready=False)
    others = serve("--only-channels", "*.default", *layer, app="live_tasks:routes", env=site.env, is_ready=False)
    mails.wait_for_log("Channels consumed here: django.tasks.mail")
    others.wait_for_log("Channels consumed here: django.tasks.default")
    for number in range(10):
        site.enqueue("mail", number)
        site.enqueue("add", number, 1000)
    assert {each["pid"] for number in range(10) for each in site.wait_for(mail=number)} == {mails.worker()}
    sums = {each["pid"] for number in range(10) for each in site.wait_for(sum=1000 + number)}
    assert sums == {others.worker()}


def test_the_most_urgent_task_runs_first(redis, serve, tmp_path):
    layer = ("--channel-layer", f"{redis.url}?prefix=urgent")
    site = Site(tmp_path, serve, "--exclude-channels", "*", *layer)
    for priority in (0, -7, 100, 3, 3, 0):
        site.enqueue("write_down", str(priority), using={"priority": priority})
    one = ("--threads", "1", *layer)  # of a WSGI application, since an ASGI application gets more
    serve("--only-channels", "*", *one, app="live_tasks:application", env=site.env, is_ready=False)
    site.wait_for(text="-7")
    assert [each["text"] for each in site.seen] == ["100", "3", "3", "0", "0", "-7"]


PROGRAM = """
import live_tasks
result = live_tasks.add.enqueue(20, 22)
print(result.status.value)
while not result.is_finished:
    result.refresh()
print(result.return_value)
"""


def test_a_program_enqueues_by_the_address_of_the_layer_and_reads_the_result(remote, redis, tmp_path):
    options = {"CHANNEL_LAYER": f"{redis.url}?prefix=tasks"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={
            **os.environ,
            **remote.env,
            "TASK_OPTIONS": json.dumps(options),
            "PYTHONPATH": f"{PYTHONPATH}:{Path(__file__).parent}",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout.split() == ["READY", "42"], done.stderr


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"EXPIRY": 1}, "there is no option 'EXPIRY'"),
        ({"RESULT_SECONDS": 0}, "RESULT_SECONDS must be"),
        ({"CHANNEL_LAYER": "amqp://host"}, "must be a URL"),
    ],
)
def test_wrong_options_stop_the_start_with_one_sentence(serve, tmp_path, options, match):
    site = Site(tmp_path, serve, options=options, is_ready=False)
    site.server.wait_for_log("TASKS['default']: ")
    assert match in site.server.log()


def test_a_wsgi_application_alone_has_its_tasks_run(serve, tmp_path):
    with tempfile.TemporaryDirectory(prefix="uvicorn-") as place:
        site = Site(tmp_path, serve, "--channel-layer", f"local://{place}/layer", app="live_tasks:application")
        for number in range(200):  # past the capacity of other channels
            site.enqueue("write_down", f"number {number}", using={"run_after": 0})
        site.wait_for(text="number 199")
        eventually(lambda: len(site.seen) == 200, "all tasks")
