"""Where an application has its templates, for who watches files in development."""

from __future__ import annotations

import sys

__all__ = ["template_folders"]


def template_folders() -> list[str]:
    """Return the folders in which Django's engines look for templates; none if Django is not used.

    Those of installed packages are left out. (Jinja's environments are not known to anybody: their templates are found
    by their names.)
    """
    django = sys.modules.get("django.template")
    if django is None:
        return []
    try:
        folders = [str(folder) for engine in django.engines.all() for folder in engine.template_dirs]
    except Exception:  # settings are missing, or wrong: the application says it better
        return []
    return [folder for folder in folders if "site-packages" not in folder]
