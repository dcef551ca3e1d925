"""Who is to be made, and who is to leave, by what the master knows of its workers."""

import pytest

from uvicorn.command.reload_plan import Known, plan


def worker(word):
    """Return a worker: its number; "o" an old one, "s" starting, "w" wants to leave."""
    number = int(word.rstrip("osw"))
    return Known(number, number, is_new="o" not in word, is_ready="s" not in word, wants_to_leave="w" in word)


@pytest.mark.parametrize(
    ("workers", "wanted", "missing", "leaving", "is_reloaded"),
    [
        # all is well, one is missing, one is too many
        ("1 2", 2, 0, [], True),
        ("", 2, 2, [], False),
        ("2", 2, 1, [], False),
        ("1 2 3", 2, 0, [1], True),
        ("1s 2s", 2, 0, [], False),
        ("1 2 3s", 2, 0, [3], True),  # who does not serve yet is missed least
        ("1 2", 0, 0, [1, 2], True),
        # a reload: old ones leave when all new ones are ready
        ("1o 2o", 2, 2, [], False),
        ("1o 2o 3s", 2, 1, [], False),
        ("1o 2o 3s 4s", 2, 0, [], False),
        ("1o 2o 3 4s", 2, 0, [], False),
        ("1o 2o 3 4", 2, 0, [1, 2], True),
        ("1o 2os 3 4", 2, 0, [2, 1], True),
        ("1o 2o 3 4", 3, 1, [], False),  # TTIN meanwhile
        ("1o 2o 3s 4", 1, 0, [3, 1, 2], True),  # TTOU meanwhile
        ("1o 2o 3", 1, 0, [1, 2], True),  # fewer workers in the new configuration
        ("1ow 2o 3s 4s", 2, 0, [], False),  # it leaves anyhow
        # one that wants to leave does so when another one is ready
        ("1w", 1, 1, [], True),
        ("1w 2s", 1, 0, [], True),
        ("1w 2", 1, 0, [1], True),
        ("1 2w", 2, 1, [], True),
        ("1 2w 3s", 2, 0, [], True),
        ("1 2w 3", 2, 0, [2], True),
        ("1w 2w 3w 4w", 4, 1, [], True),  # one after the other
        ("1w 2w 3w 4w 5s", 4, 0, [], True),
        ("1w 2w 3w 4w 5", 4, 0, [1], True),
        ("1w 2w 3 4 5 6 7 8", 8, 2, [], True),  # two at a time
        ("1 2w", 1, 0, [2], True),  # TTOU meanwhile
        ("1w 2 3s", 1, 0, [1, 3], True),
    ],
)
def test_plan(workers, wanted, missing, leaving, is_reloaded):
    found = plan([worker(word) for word in workers.split()], wanted)
    assert (found.missing, found.leaving, found.is_reloaded) == (missing, leaving, is_reloaded)


@pytest.mark.parametrize("wanted", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("kind", ["w", "o"])
def test_all_workers_are_replaced_in_the_end_and_as_many_as_wanted_serve_all_the_time(kind, wanted):
    workers = {number: worker(f"{number}{kind}") for number in range(1, wanted + 1)}
    next_number = wanted + 1
    for _ in range(100):
        found = plan([*workers.values()], wanted)
        for pid in found.leaving:
            del workers[pid]
        assert sum(each.is_ready for each in workers.values()) >= wanted
        if not found.missing and not found.leaving and all(each.is_ready for each in workers.values()):
            break
        starting = [pid for pid, each in workers.items() if not each.is_ready]
        if starting:  # one gets ready
            workers[starting[0]] = worker(f"{starting[0]}")
        for _ in range(found.missing):
            workers[next_number] = worker(f"{next_number}s")
            next_number += 1
    assert len(workers) == wanted
    assert min(workers) > wanted
