"""What all tests share. Its folder is where `doubles` and `clients` are imported from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent))  # for `benchmarks`; last, so that what is installed is tested
pytest.register_assert_rewrite("clients", "doubles", "sockets")

from clients import Site  # noqa: E402


@pytest.fixture
def make_site():
    """Make sites; at the end of the test each must have nothing unexpected in its log or on its wire."""
    sites = []

    def make(application, **options):
        sites.append(Site(application, **options))
        return sites[-1]

    yield make
    for site in sites:
        site.end()
