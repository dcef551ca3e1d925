"""The dashboard and the alert rules name what there is."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from uvicorn.watching.families import COUNTER, FAMILIES, HISTOGRAM

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "monitoring"
ENDINGS = {COUNTER: ("_total",), HISTOGRAM: ("_bucket", "_sum", "_count")}
NAMES = {f"uvicorn_{name}{ending}" for name, family in FAMILIES.items() for ending in ENDINGS.get(family.kind, ("",))}


@pytest.mark.parametrize("name", ["grafana.json", "alerts.yml"])
def test_all_metrics_that_are_asked_for_exist(name):
    text = (FOLDER / name).read_text()
    found = set(re.findall(r"\buvicorn_\w+", text))
    assert len(found) > 5
    assert found <= NAMES


def test_the_dashboard_is_json_and_every_panel_has_a_question():
    dashboard = json.loads((FOLDER / "grafana.json").read_text())
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert all(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_takes_the_rules():
    done = subprocess.run(["promtool", "check", "rules", FOLDER / "alerts.yml"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
