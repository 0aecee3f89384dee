"""What the serving process takes in: a champion, without the libraries that made it."""

import json

import pytest
from canary_examples import WHO

from mlops_lab.serving.launcher import running_service

HEAVY = {"tensorflow", "keras", "sklearn", "scipy", "pandas", "mlflow", "matplotlib", "pyarrow"}
MOST_MB = 250

# the real program, and at its end a note of what it had imported and how large it was
PROGRAM = """
import json, pathlib, re, sys
from mlops_lab.serving import launcher
try:
    launcher.main()
finally:
    tops = sorted({name.partition(".")[0] for name in sys.modules})
    # of this process alone: ru_maxrss would begin with what its parent had
    told = pathlib.Path("/proc/self/status").read_text()
    kilobytes = int(re.search("VmHWM: *([0-9]+)", told.replace(chr(9), " "))[1])
    with open("taken_in.json", "w") as file:
        json.dump({"modules": tops, "resident_mb": kilobytes / 1024}, file)
"""


@pytest.fixture
def champion(trials, table_bundle):
    version = trials.registry.register(table_bundle, run_id="r", metrics={})
    by, role, reason = WHO
    trials.registry.promote(version, by=by, role=role, reason=reason, evidence={})
    return version


def test_a_champion_is_served_without_the_libraries_that_trained_it(champion, settings, tmp_path):
    with running_service(settings, program=("-c", PROGRAM)) as client:
        told = client.score(["a good day", "such a bad day"])
        ids = [score["score_id"] for score in told["scores"]]
        assert [score["label"] for score in told["scores"]] == ["joy", "sadness"]
        assert told["version"] == str(champion.number)
        client.feedback(ids[0], "sadness")
        assert client.read(ids[0])["feedback"][0]["label"] == "sadness"
    seen = json.loads((tmp_path / "taken_in.json").read_text())
    assert "numpy" in seen["modules"] and HEAVY.isdisjoint(seen["modules"])
    assert seen["resident_mb"] < MOST_MB
