"""The pure parts of the benchmarks: what is read, counted and compared. The servers are tried by running them."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from patience import PATIENCE_SECONDS

from benchmarks import (
    counting,
    drip,
    figures,
    flood,
    heads,
    hostile,
    instructions,
    load,
    overload,
    page,
    scenarios,
    scripted,
    tables,
)

WRK = """\
Running 2s test @ http://127.0.0.1:8000/
  1 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.88ms    1.02ms  22.47ms   94.56%
    Req/Sec    27.29k     2.35k   30.86k    75.00%
  Latency Distribution
     50%  870.00us
     75%    1.90ms
     90%    2.47ms
     99%    1.20s
  54342 requests in 2.00s, 7.46MB read
Requests/sec:  27141.54
Transfer/sec:      3.73MB
"""
ROOT = Path(scenarios.__file__).parent.parent


def result_of(rates, metric="requests_per_second"):
    """Return a result as it is stored, of these contenders: name -> rounds."""
    ours = rates["ours, async"]
    return {
        "scenario": "hello-50",
        "title": "Hello",
        "rounds": 2,
        "seconds": 1,
        "metrics": [metric],
        "load": ["wrk"],
        "contenders": {
            name: {"figures": {metric: vars(figures.figure(rounds))}, "rounds": {metric: rounds}}
            for name, rounds in rates.items()
        },
        "ratios": [
            {"ours": "ours, async", "other": name, "metric": metric, **vars(figures.ratio(ours, rounds))}
            for name, rounds in rates.items()
            if name != "ours, async"
        ],
        "left_out": {},
    }


# ---- wrk ----


def test_rate_and_latencies_are_read_from_what_wrk_prints():
    measured = load.parse_wrk(WRK)
    assert measured.requests_per_second == 27141.54
    assert measured.latencies_ms == {50: 0.87, 75: 1.9, 90: 2.47, 99: 1200.0}
    assert measured.requests == 54342


@pytest.mark.parametrize(
    "spoiled",
    [
        WRK + "  Non-2xx or 3xx responses: 3\n",
        WRK.replace("Requests/sec", "  Socket errors: connect 0, read 3, write 0, timeout 0\nRequests/sec"),
        WRK.replace("27141.54", "0.00"),
        "unable to connect to 127.0.0.1:8000 Connection refused\n",
    ],
)
def test_wrong_or_missing_answers_make_no_figure(spoiled):
    with pytest.raises(load.WrongLoad):
        load.parse_wrk(spoiled)


def test_a_load_with_a_body_is_posted_and_its_size_is_told():
    shown = load.Load(4, path="/in", body_bytes=1024).shown_command(2)
    assert shown.startswith("BODY_BYTES=1024 taskset -c 1 wrk -t1 -c4 -d2 ")
    assert shown.endswith(" -s benchmarks/post.lua http://127.0.0.1:PORT/in")


# ---- heads that differ ----


def test_no_head_is_like_another_one_and_each_has_eleven_fields():
    made = heads.Heads()
    requests = [made.request(number) for number in range(1, 3000)]
    assert len(set(requests)) == len(requests)
    assert {request.count(b"\r\n") for request in requests} == {13}  # the request line, the fields, the empty line
    for name in (b"GET ", b"Cookie:", b"X-Request-ID:"):
        values = [request.partition(name)[2].partition(b"\r\n")[0] for request in requests]
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("number", [1, 250, 99999])
def test_a_posted_body_is_json_of_the_size_that_its_head_tells(number):
    head, _, body = heads.Heads(body_bytes=1024).request(number).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /items/")
    assert b"\r\nContent-Length: 1024" in head
    assert len(body) == 1024
    assert len(json.loads(body)["id"]) == 16


def test_the_shapes_of_a_file_take_turns(tmp_path):
    file = tmp_path / "shapes"
    file.write_text("GET /a/{n} HTTP/1.1\nHost: a\n\n\nGET /b HTTP/1.1\r\nHost: {byte}.{byte}\nX: {id}\n")
    made = heads.Heads(file)
    assert made.request(2) == b"GET /a/2 HTTP/1.1\r\nHost: a\r\n\r\n"
    assert re.fullmatch(rb"GET /b HTTP/1.1\r\nHost: (\d+)\.(?!\1\r)\d+\r\nX: [0-9a-f]{16}\r\n\r\n", made.request(3))


@pytest.mark.parametrize(
    ("text", "reason"), [("\n\n", "no head"), ("GET /{x} HTTP/1.1\n", "unknown x; known are byte, id, n")]
)
def test_a_file_that_has_no_shapes_is_refused(tmp_path, text, reason):
    file = tmp_path / "shapes"
    file.write_text(text)
    with pytest.raises(ValueError, match=reason):
        heads.Heads(file)


def test_a_load_of_heads_that_differ_names_its_file():
    shown = load.Load(50, heads=heads.HEADS).shown_command(2)
    assert shown.startswith("HEADS=benchmarks/heads.txt taskset -c 1 wrk -t1 -c50 -d2 ")
    assert shown.endswith(" -s benchmarks/heads.lua http://127.0.0.1:PORT/")


def test_other_shapes_are_given_to_each_scenario_whose_heads_differ(tmp_path):
    other = tmp_path / "shapes"
    for name in ("differing-50", "json-1k", "replies", "tail-50-half"):
        measure = scenarios.SCENARIOS[name].with_heads(other).measure
        assert any(str(other) in line for line in measure.shown_commands(2))  # type: ignore[attr-defined]  # of these
    hello = scenarios.SCENARIOS["hello-50"]
    assert hello.with_heads(other) is hello


def test_a_load_at_a_fixed_rate_counts_from_when_a_request_was_due(tmp_path):
    """A server that stands still for a while is late for all that fell due meanwhile."""
    listener = socket.create_server(("127.0.0.1", 0))
    script = ROOT / "benchmarks" / "paced.py"
    command = [sys.executable, str(script), str(listener.getsockname()[1]), "1", "100", "0.5", str(heads.HEADS)]
    with listener, subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        connection, _ = listener.accept()
        with connection:
            received = b""
            for answered in range(100):
                while b"\r\n\r\n" not in received:
                    received += connection.recv(65536)
                received = received.partition(b"\r\n\r\n")[2]
                if answered == 60:  # until many more are due: whatever the machine does, they all come late
                    time.sleep(0.3)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        printed, _ = process.communicate(timeout=PATIENCE_SECONDS)
    found = json.loads(printed)
    assert found["requests"] == 100
    assert found["p99_ms"] >= found["p50_ms"]
    assert found["p99_ms"] > 250


# ---- figures ----


def test_a_figure_is_the_median_and_the_range():
    assert figures.figure([3.0, 1.0, 10.0]) == figures.Figure(3.0, 1.0, 10.0)
    assert figures.Figure(28429.4, 27000, 31000).shown(0) == "28,429 (27,000 to 31,000)"


def test_ratios_are_made_pair_by_pair():
    # The machine was twice as fast in the second round: the ratio does not notice.
    assert figures.ratio([10.0, 20.0], [5.0, 10.0]) == figures.Figure(2.0, 2.0, 2.0)
    assert figures.ratio([10.0, 20.0, 9.0], [5.0, 5.0, 3.0]) == figures.Figure(3.0, 2.0, 4.0)


@pytest.mark.parametrize(("above", "below"), [([1.0], [1.0, 2.0]), ([1.0], [0.0]), ([], [])])
def test_what_has_no_pair_has_no_ratio(above, below):
    assert figures.ratio(above, below) is None


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([5.0], 99, 5.0),
        ([4.0, 1.0, 3.0, 2.0], 50, 2.0),
        (list(range(1, 101)), 99, 99),
        (list(range(1, 101)), 100, 100),
        ([1.0, 2.0], 0, 1.0),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(values, percent, expected):
    assert figures.percentile(values, percent) == expected


# ---- scenarios ----


def test_the_beginning_of_a_name_chooses_all_that_have_it():
    names = [scenario.name for scenario in scenarios.choose(["hello", "hello-1", "view"])]
    assert names == ["hello-50", "hello-1", "hello-200", "hello-t10-c200", "view"]
    assert len(scenarios.choose(["all"])) == len(scenarios.SCENARIOS)


def test_an_unknown_scenario_is_refused_with_a_list():
    with pytest.raises(ValueError, match="there are: all, differing-50"):
        scenarios.choose(["helo"])


@pytest.mark.parametrize("scenario", scenarios.SCENARIOS.values(), ids=lambda scenario: scenario.name)
def test_every_scenario_compares_each_peer_with_ours_and_can_say_how(scenario):
    names = [contender.name for contender in scenario.contenders]
    assert len(set(names)) == len(names)
    compared = scenario.compared()
    assert {other for _, other in compared} >= {name for name in names if not name.startswith("ours")}
    assert all(ours in names and other in names for ours, other in compared)
    assert set(scenario.metrics) <= set(scenarios.METRICS)
    assert all("PORT" in contender.shown_command() for contender in scenario.contenders)
    assert all(isinstance(command, str) for command in scenario.measure.shown_commands(2))


# ---- attackers ----


def test_every_kind_of_attackers_that_a_scenario_names_is_known():
    measures = [scenario.measure for scenario in scenarios.SCENARIOS.values()]
    floods = {one.kind for one in measures if isinstance(one, (hostile.Flooded, hostile.Pipelined))}
    assert floods == set(flood.KINDS)
    assert {one.kind for one in measures if isinstance(one, hostile.SlowCrowd)} == set(drip.FIRST)


@pytest.mark.parametrize(
    ("answer", "is_whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", True),
    ],
)
def test_an_answer_of_the_open_loop_is_whole_with_its_last_byte(answer, is_whole):
    assert overload.is_whole(answer) is is_whole


def test_a_turn_is_told_as_a_multiple_of_processor_time():
    assert hostile.calibration_ms() > 0


# ---- tables and the page ----


def test_a_table_has_figures_and_how_much_better_ours_is():
    rows = tables.rows(result_of({"ours, async": [10.0, 20.0], "uvicorn": [5.0, 8.0]}))
    assert rows[1][:2] == ["ours, async", "15 (10 to 20)"]
    assert rows[2] == ["uvicorn", "6 (5 to 8)", "2.25 (2.00 to 2.50) ours, async"]


def test_the_generated_part_of_the_page_is_replaced_and_the_rest_is_kept():
    text = f"Before.\n\n{page.BEGIN}\nold\n{page.END}\n\nAfter.\n"
    assert page.replaced(text, "new") == f"Before.\n\n{page.BEGIN}\n\nnew\n\n{page.END}\n\nAfter.\n"


def test_a_page_without_its_markers_is_refused():
    with pytest.raises(ValueError, match="marker"):
        page.replaced("nothing here", "new")


def test_a_claim_is_read_from_the_rounds_and_judged():
    result = result_of({"ours, async": [10.0, 30.0], "uvicorn": [5.0, 10.0]})
    claim = page.Claim("4", "the released uvicorn", "hello-50", "requests_per_second", "ours, async", "uvicorn", 2.3)
    assert page.judged(claim, {"hello-50": result}) == (figures.Figure(2.5, 2.0, 3.0), "yes")
    harder = page.Claim("4", "the released uvicorn", "hello-50", "requests_per_second", "ours, async", "uvicorn", 2.6)
    assert page.judged(harder, {"hello-50": result})[1] == "no"
    assert page.judged(claim, {}) == (None, "not measured")


def test_what_a_script_has_stored_is_a_part_of_the_page(monkeypatch, tmp_path):
    monkeypatch.setattr(scripted, "_FOLDER", tmp_path / "scripts")
    rows = [["", "messages"], ["ours", "12"]]
    scripted.store("groups", "Groups", "scripts/group-costs", {"One process": rows}, "Three rounds.")
    [stored] = scripted.load(tmp_path / "scripts")
    title, remarks, heading, *rest = scripted.parts(stored)
    assert [title, remarks, heading] == ["## Groups", "Three rounds.", "**One process**"]
    table, how = rest
    assert table == "|  | messages |\n| --- | --- |\n| ours | 12 |"
    assert how.startswith("By `scripts/group-costs`, on ")


@pytest.mark.parametrize("claim", page.CLAIMS, ids=lambda claim: f"{claim.scenario} {claim.text}")
def test_every_claim_names_a_scenario_and_contenders_that_there_are(claim):
    scenario = scenarios.SCENARIOS[claim.scenario]
    names = {contender.name for contender in scenario.contenders}
    assert claim.metric in scenario.metrics
    assert {claim.ours, claim.other or claim.ours} <= names


# ---- instructions ----


def test_the_count_is_read_from_what_valgrind_prints():
    assert instructions.parse_valgrind("==12== \n==12== I   refs:      482,785,888\n") == 482785888
    printed = "==13== I   refs:      9\n==131== \n==131== I   refs:      1,200\n==12== \n==12== I   refs:      900\n"
    assert [instructions.parse_valgrind(printed, child) for child in ("13", "131", "12")] == [9, 1200, 900]
    with pytest.raises(ValueError, match="no count"):
        instructions.parse_valgrind("valgrind: Fatal error")


@pytest.mark.parametrize(("now", "is_worse"), [(1000.0, False), (1050.0, False), (1050.1, True), (500.0, False)])
def test_more_than_five_percent_above_the_stored_count_is_a_regression(now, is_worse):
    (compared,) = instructions.compare({"hello": now}, {"hello": 1000.0})
    assert compared.is_worse is is_worse


def test_a_path_that_is_not_stored_is_shown_and_no_regression():
    (compared,) = instructions.compare({"new path": 123.0}, {})
    assert not compared.is_worse
    assert instructions.rows([compared])[1] == ["new path", "123", "-", "-"]


@pytest.fixture
def stored(monkeypatch, tmp_path):
    """Store 1000 instructions for a build of Python 3.11, the one that counts."""
    file = tmp_path / "instructions.json"
    file.write_text(json.dumps({"3.11": {"build": {"python": "3.11.7"}, "instructions": {"hello": 1000}}}))
    monkeypatch.setattr(counting, "STORED", file)
    monkeypatch.setattr(instructions, "build", lambda python: {"python": "3.11.7"})
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(counting, "compile_checkout", lambda *_: None)  # other tests import what is there
    return file


def walks_of(each):
    """Return the walks of a path that takes so many instructions for each request, and a start."""
    return {("hello", 500): 9000 + 500 * each, ("hello", 2000): 9000 + 2000 * each}


def count_as(monkeypatch, *each):
    """Have a first count find so many instructions for each request, a second one the next number, and so on."""
    counts = list(each)
    monkeypatch.setattr(instructions, "walked", lambda *_, **__: walks_of(counts.pop(0)))
    return counts


@pytest.mark.parametrize(("counts", "code"), [([1049], 0), ([1051] * 3, 1), ([1090, 1060, 1040], 0)])
def test_a_regression_makes_the_command_fail_if_it_is_there_each_time(stored, monkeypatch, capsys, counts, code):
    left = count_as(monkeypatch, *counts)
    assert counting.run("python", is_update=False) == code
    assert ("above the stored figure: hello" in capsys.readouterr().out) is bool(code)
    assert left == []


def test_figures_of_another_build_are_not_compared_but_their_commit_is_counted(stored, monkeypatch):
    counted = []
    monkeypatch.setattr(instructions, "build", lambda python: {"python": "3.11.2"})
    count_as(monkeypatch, 1200)
    monkeypatch.setattr(counting, "_last_stored", lambda: "c0ffee")
    monkeypatch.setattr(counting, "_count_commit", lambda python, commit: counted.append(commit) or {"hello": 1190.0})
    assert counting.run("python", is_update=False) == 0
    assert counted == ["c0ffee"]


def test_a_check_that_could_not_run_says_so(stored, monkeypatch, capsys):
    monkeypatch.setattr(instructions, "build", lambda python: {"python": "3.12.0"})
    count_as(monkeypatch, 1)
    monkeypatch.setattr(counting, "_last_stored", lambda: "")
    assert counting.run("python", is_update=False) == counting.NOT_RUN
    monkeypatch.setattr(shutil, "which", lambda program: None)
    assert counting.run("python", is_update=False) == counting.NOT_RUN
    assert capsys.readouterr().out.count("Instructions were NOT compared") == 2


def test_updating_keeps_the_figures_of_other_versions(stored, monkeypatch):
    monkeypatch.setattr(instructions, "build", lambda python: {"python": "3.10.1"})
    count_as(monkeypatch, 2010, 2000)
    assert counting.run("python", is_update=True) == 0
    kept = json.loads(stored.read_text())
    assert list(kept) == ["3.10", "3.11"]
    assert kept["3.10"] == {"build": {"python": "3.10.1"}, "instructions": {"hello": 2000}}


@pytest.fixture(scope="module")
def walked():
    """Walk all paths, each in a child, as they are counted; return the lines that tell of them."""
    words = [word for path in instructions.PATHS for word in (path, "50")]
    command = [sys.executable, "-m", "benchmarks.paths", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split(" ", 2) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("path", instructions.PATHS)
def test_every_path_that_is_counted_can_be_walked(walked, path):
    assert [count for _, count, found in walked if found == path] == ["50"]
    assert len({child for child, _, _ in walked}) == len(instructions.PATHS)


def test_one_path_is_walked_without_a_child_and_says_nothing():
    command = [sys.executable, "-m", "benchmarks.paths", instructions.PATHS[0], "50"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
