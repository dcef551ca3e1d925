"""The version and the extras: what the requirements of other packages ask for."""

from importlib.metadata import metadata, version

import uvicorn


def test_the_version_is_above_every_release_of_the_other_package():
    assert int(uvicorn.__version__.partition(".")[0]) >= 1
    assert version("uvicorn") == uvicorn.__version__


def test_the_extra_that_others_ask_for_is_there():
    assert "standard" in (metadata("uvicorn").get_all("Provides-Extra") or ())
