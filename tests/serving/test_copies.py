"""Shadow copies in a real service: unseen, apart, and harmless."""

import signal
from collections import Counter

import pytest
from canary_examples import LONG, WHO, children_of, runs, started, trying, wait_for

from mlops_lab.foundation.workspace import open_workspace
from mlops_lab.serving.client import ServiceClient
from mlops_lab.serving.observations import read_state
from mlops_lab.serving.refusals import Refusal
from mlops_lab.serving.score_record import copy_id
from mlops_lab.serving.score_store import ScoreStore
from mlops_lab.tracking.trials import Terms


def test_shadow_copies_are_kept_apart_and_lead_back(settings, trials, add):
    add("first"), add("worse")
    terms = {"share": 0.3, "copies_per_s": 1000, "automatic": "none"}
    with trying(settings, trials, **terms, **LONG) as client:
        told = [client.score(f"good day {i}", caller=f"caller {i}") for i in range(100)]
        wait_for(lambda: sum(read_state(trials.registry.lab)["copies"].values()) == 100)
        with pytest.raises(Refusal, match="no score"):
            client.read(copy_id(told[0]["score_id"]))
        with pytest.raises(Refusal, match="no score"):
            client.feedback(copy_id(told[0]["score_id"]), "joy")
        state = wait_for(lambda: read_state(trials.registry.lab))
    store = ScoreStore(open_workspace(settings).score_store)
    answers, everything = store.frame(), store.frame(shadows=True)
    store.close()
    assert len(answers) == 100 and set(answers["variant"]) == {"champion", "canary"}
    copies = everything[everything["variant"] == "shadow"].set_index("score_id")
    assert len(copies) == state["copies"]["made"] > 50 and state["copies"]["failed"] == 0
    by_id = answers.set_index("score_id")
    for one in copies.itertuples():
        answered = by_id.loc[copy_id(one.Index)]
        assert (one.text, one.caller) == (answered["text"], answered["caller"])
        assert {one.version, answered["version"]} == {"1", "2"}
    differing = state["evidence"]["copies"]["differing"]
    assert 0.2 < differing / len(copies) < 0.6  # four of ten were planted


def test_a_model_that_dies_while_copying_harms_nobody(settings, trials, add):
    add("first"), add("dies")
    terms = {"share": 0.0, "copies_per_s": 100, "automatic": "none"}
    with trying(settings, trials, **terms, **LONG) as client:
        told = Counter()
        for number in range(200):
            told[client.score("good", caller=str(number))["variant"]] += 1
        wait_for(lambda: read_state(trials.registry.lab)["copies"]["dropped"] > 0)
        assert client.ready() and told == {"champion": 200}


def test_the_process_of_the_copies_ends_with_a_killed_service(settings, trials, add):
    add("first"), add("second")
    trials.start(2, Terms(share=0.0, copies_per_s=100, **LONG), signed=WHO)
    with open(settings.project / "log", "w+b") as log, started(settings, log) as (child, client):
        wait_for(lambda: read_state(trials.registry.lab))
        client.score("good")
        wait_for(lambda: read_state(trials.registry.lab)["copies"].get("made"))
        own = children_of(child.pid)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert own
        wait_for(lambda: not any(runs(pid) for pid in own))


def test_a_service_without_a_trial_has_no_second_process(settings, trials, add):
    add("first")
    with open(settings.project / "log", "w+b") as log, started(settings, log) as (child, client):
        assert isinstance(client, ServiceClient) and client.score("good")["variant"] == "champion"
        assert children_of(child.pid) == []
