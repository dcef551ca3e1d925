"""What is said of an application that could not be loaded."""

import importlib
import subprocess
import sys

import pytest

from uvicorn.applications.failures import failing_application, failure_text, files_of
from uvicorn.applications.loading import load_site


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Return what loads a broken module, and returns the error."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(text, name="broken_site"):
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        try:
            load_site(f"{name}:app")
        except BaseException as error:
            return error.with_traceback(error.__traceback__.tb_next)  # without this frame, which is not ours there
        finally:
            sys.modules.pop(name, None)
        raise AssertionError("it was loaded")

    return load


def test_the_traceback_begins_with_the_applications_first_frame(broken):
    lines = failure_text(broken("\ndef start():\n    return nonsense\n\nstart()\n")).splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert 'broken_site.py", line 5, in <module>' in lines[1]
    assert lines[-1] == "NameError: name 'nonsense' is not defined"
    assert sum('File "' in line for line in lines) == 2


def test_what_an_error_came_from_is_shown_from_the_applications_frames_on_too(broken):
    text = failure_text(
        broken("try:\n    import a_missing_module\nexcept ImportError as error:\n    raise KeyError(1) from error\n")
    )
    assert text.count('File "') == text.count("broken_site.py") == 2
    assert "direct cause" in text


def test_the_files_that_were_imported_are_known(broken, tmp_path):
    (tmp_path / "helper_site.py").write_text("x = nonsense\n")
    files = files_of(broken("import helper_site\n"))
    assert files == [str(tmp_path / "broken_site.py"), str(tmp_path / "helper_site.py")]


def test_the_file_of_a_syntax_error_is_known(broken, tmp_path):
    error = broken("def app(message)\n    pass\n")
    assert files_of(error) == [str(tmp_path / "broken_site.py")]
    assert "SyntaxError" in failure_text(error)


def test_an_error_of_ours_keeps_its_frames():
    with pytest.raises(AttributeError) as caught:
        load_site(7)
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    assert "loading.py" in failure_text(error)


def test_errors_that_refer_to_each_other_come_to_an_end():
    first, second = ValueError(1), ValueError(2)
    first.__context__, second.__context__ = second, first
    assert "ValueError: 1" in failure_text(first)
    assert files_of(first) == []


def test_the_failing_application_shows_the_text_and_is_not_kept_by_browsers():
    sent = []

    class Channel:
        send = sent.append

    consumer = failing_application("NameError: \udcff").only
    coroutine = consumer.target({"reply_channel": Channel()})
    with pytest.raises(StopIteration):
        coroutine.send(None)
    [reply] = sent
    assert (reply["status"], reply["content"]) == (500, b"NameError: \\udcff")
    assert (b"cache-control", b"no-store") in reply["headers"]


def test_django_tells_where_its_templates_are(tmp_path):
    pytest.importorskip("django")
    script = f"""
from uvicorn.applications.templates import template_folders
assert template_folders() == []
import django.template
assert template_folders() == []  # there are no settings
from django.conf import settings
settings.configure(TEMPLATES=[
    {{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [{str(tmp_path)!r}], "APP_DIRS": True}}
])
import django
django.setup()
print(template_folders())
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{[str(tmp_path)]}\n", "")
