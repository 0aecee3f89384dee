"""The command that removes, and what other commands say of what it removed."""

import json
import time

import pytest


@pytest.fixture
def two_runs(call):
    """Two runs of the small pipeline with different results; the older one's name."""
    told = [call("run", "--pipeline", "tiny", "-p", f"n={n}", "--json") for n in (3, 4)]
    assert [one.returncode for one in told] == [0, 0], told[0].stderr
    return [json.loads(one.stdout)["run"] for one in told]


def test_a_dry_run_says_what_a_cleaning_then_does(call, two_runs, unchanged):
    assert unchanged()
    dry = json.loads(call("clean", "--keep-runs", "1", "--dry-run", "--json").stdout)
    told = call("clean", "--keep-runs", "1")
    assert dry["runs"] == two_runs[:1] and dry["freed_bytes"] > 0
    size = f"{dry['freed_bytes'] / 1e6:,.1f} MB are free"
    assert told.stdout.splitlines()[0].endswith(size) and two_runs[0] in told.stdout
    again = json.loads(call("clean", "--keep-runs", "1", "--json").stdout)
    assert (again["runs"], again["freed_bytes"]) == ([], 0)


def test_a_removed_run_is_refused_with_the_reason(call, two_runs):
    old, new = two_runs
    assert call("clean", "--keep-runs", "1").returncode == 0
    for words in (["diff", old, new], ["reproduce", old]):
        told = call(*words)
        assert told.returncode == 1 and "by mlops-lab clean --keep-runs 1" in told.stderr
    assert "its files were removed on" in call("show", old).stdout
    assert json.loads(call("show", old, "--json").stdout)["removed"]
    assert "files removed" in call("runs").stdout
    assert call("run", "--pipeline", "tiny", "-p", "n=4").stdout.count("from the store") == 1


def test_two_projects_share_results_by_a_setting(call, home, tmp_path):
    shared = {"remote_store": f"file://{tmp_path}/class"}
    first = call("run", "--pipeline", "tiny", "--json", workspace="one", **shared)
    assert json.loads(first.stdout)["state"] == "done", first.stderr
    second = {}
    for _ in range(50):
        made = len(list((tmp_path / "class").glob("v1/results/*/*.json")))
        if made == 2:
            told = call("run", "--pipeline", "tiny", "--json", workspace="two", **shared)
            second = json.loads(told.stdout)
            break
        time.sleep(0.2)
    assert second["state"] == "cached"
    assert all(stage["reason"].endswith(", shared") for stage in second["stages"])
