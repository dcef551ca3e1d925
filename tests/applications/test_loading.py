"""Importing an application by name: one clear sentence for each mistake in the name."""

import sys

import pytest
from gunicorn.errors import AppImportError
from loaded_modules import APPLICATION, write

from uvicorn.applications.loading import load_application, make_application
from uvicorn.applications.router import Router


def refusal(uri):
    with pytest.raises(AppImportError) as caught:
        load_application(uri)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return text


@pytest.mark.parametrize("name", ["hello_world", "hello_async", "routes", "number"])
def test_a_name_is_imported(webshop, name):
    loaded = load_application(f"webshop_app:{name}")
    assert loaded is getattr(sys.modules["webshop_app"], name)


@pytest.mark.parametrize("uri", ["webshop_app", "webshop_app:"])
def test_the_name_is_application_if_none_is_given(webshop, uri):
    assert load_application(uri).__name__ == "application"


def test_a_factory_is_called_with_its_arguments(webshop):
    assert load_application("webshop_app:factory('shop', loud=True)").facts == ("shop", True)


def test_a_factory_may_return_a_list_of_routes(webshop):
    uri = "webshop_app:list_factory()"
    assert isinstance(make_application(load_application(uri), uri), Router)


def test_a_module_in_a_package_is_imported(webshop):
    write(webshop, "webshop_package/__init__.py", "")
    write(webshop, "webshop_package/views.py", APPLICATION)
    assert load_application("webshop_package.views:hello_world").__module__ == "webshop_package.views"


# ---- wrong names ----


def test_a_wrong_name_is_told_with_the_nearest_one(webshop):
    text = refusal("webshop_app:helo_world")
    assert text == "There is no 'helo_world' in 'webshop_app'; did you mean 'hello_world'?"


def test_the_nearest_name_is_one_that_can_be_served(webshop):
    assert "HelloClass" not in refusal("webshop_app:HelloClas")
    assert "did you mean 'routes'?" in refusal("webshop_app:route_s")


def test_a_name_that_is_like_no_other_is_told_alone(webshop):
    assert refusal("webshop_app:zzzzzzzz") == "There is no 'zzzzzzzz' in 'webshop_app'"


def test_a_wrong_module_is_told_with_the_nearest_one(webshop):
    text = refusal("webshop_ap:hello_world")
    assert text == "There is no module 'webshop_ap'; did you mean 'webshop_app'?"


def test_a_wrong_module_that_is_like_no_other_is_told_alone(webshop):
    assert refusal("zzqqzzqq:hello_world") == "There is no module 'zzqqzzqq'"


def test_a_wrong_module_in_a_package_is_told_with_the_nearest_one(webshop):
    write(webshop, "webshop_package/__init__.py", "")
    write(webshop, "webshop_package/views.py", APPLICATION)
    text = refusal("webshop_package.view:hello_world")
    assert text == "There is no module 'webshop_package.view'; did you mean 'webshop_package.views'?"


def test_a_package_that_does_not_exist_is_told(webshop):
    assert refusal("zzqqzzqq.views:hello_world").startswith("There is no module 'zzqqzzqq'")


def test_a_module_within_a_module_is_told(webshop):
    assert refusal("webshop_app.views:hello_world").startswith("There is no module 'webshop_app.views'")


@pytest.mark.parametrize(
    ("uri", "meant"),
    [("webshop_app.py:hello_world", "webshop_app:hello_world"), ("webshop_app.py", "webshop_app:application")],
)
def test_a_file_name_is_told_with_the_name_that_was_meant(webshop, uri, meant):
    assert f"did you mean '{meant}'?" in refusal(uri)


def test_a_path_is_told_with_the_name_that_was_meant(webshop):
    write(webshop, "webshop_folder/views.py", APPLICATION)
    assert "did you mean 'webshop_folder.views:hello_world'?" in refusal("webshop_folder/views.py:hello_world")


@pytest.mark.parametrize("uri", ["", ":hello_world", ".webshop_app:hello_world", "webshop_app..x:hello_world", "."])
def test_what_is_no_name_of_a_module_is_told(webshop, uri):
    assert "is not the name of a module; write module:name" in refusal(uri)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("factry('shop')", "There is no 'factry' in 'webshop_app'; did you mean 'factory'?"),
        ("factory('shop', 'more')", "cannot be called: too many positional arguments"),
        ("factory()", "cannot be called: missing a required argument: 'name'"),
        ("number()", "cannot be called: 7 is not a callable object"),
        ("factory(1 + x)", "must be literals"),
        ("factory(**{'name': 1})", "must be literals"),
        ("factory(*['shop'])", "must be literals"),
        ("factory('shop'", "is not a call of one function"),
        ("factory('shop')('more')", "is not a call of one function"),
        ("factory('shop').made", "is not a call of one function"),
    ],
)
def test_a_wrong_call_of_a_factory_is_told(webshop, call, sentence):
    assert sentence in refusal(f"webshop_app:{call}")


# ---- mistakes inside the application ----


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import a_module_that_is_not_there", ModuleNotFoundError),
        ("from webshop_app import nothing_like_it", ImportError),
        ("int('x')", ValueError),
        ("None + 1", TypeError),
        ("undefined_name", NameError),
        ("def broken(:", SyntaxError),
        ("None.nothing", AttributeError),
        ("raise SystemExit(3)", SystemExit),
    ],
)
def test_an_error_in_the_applications_own_import_is_left_as_it_is(webshop, code, error):
    write(webshop, "webshop_broken.py", code)
    with pytest.raises(error) as caught:
        load_application("webshop_broken:application")
    assert not isinstance(caught.value, AppImportError)


def test_a_missing_import_of_a_package_is_left_as_it_is(webshop):
    write(webshop, "webshop_package/__init__.py", "import a_module_that_is_not_there")
    write(webshop, "webshop_package/views.py", APPLICATION)
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        load_application("webshop_package.views:hello_world")


def test_an_error_in_a_factory_is_left_as_it_is(webshop):
    write(webshop, "webshop_broken.py", "def factory():\n    raise ValueError('in the factory')")
    with pytest.raises(ValueError, match="in the factory"):
        load_application("webshop_broken:factory()")
