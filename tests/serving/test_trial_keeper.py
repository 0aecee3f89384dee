"""How the trial of a canary ends, in a real service."""

import signal
import time
from functools import partial

import pytest
from canary_examples import (
    LONG,
    PROGRAM,
    WHO,
    post,
    send_labelled,
    started,
    trying,
    wait_for,
    wait_for_end,
)

from mlops_lab.serving.launcher import running_service
from mlops_lab.serving.observations import read_state
from mlops_lab.tracking.trials import Terms


def test_a_worse_canary_is_rolled_back_by_its_labels(settings, trials, add):
    add("first"), add("worse")
    with trying(settings, trials, share=0.3, copies_per_s=1000) as client:
        for number in range(2000):
            send_labelled(client, number)
            if number % 20 == 0 and trials.running() is None:
                break
        end = wait_for_end(trials)
        callers = [f"c {i}" for i in range(30)]  # a few of them were the canary's

        def variants():
            return {client.score("good", caller=caller)["variant"] for caller in callers}

        wait_for(lambda: variants() == {"champion"})  # the log knows it a moment before the route
        after = variants()
    assert (end["decision"], end["role"]) == ("roll back", "automatic")
    assert end["reason"] == "more wrong answers than the champion"
    assert after == {"champion"} and trials.registry.champion().number == 1
    assert trials.registry.log.verify() > 0


def test_an_equal_canary_is_promoted_and_becomes_champion(settings, trials, add):
    add("first"), add("second")
    with trying(settings, trials, share=0.3, labels=30, margin=0.2) as client:
        for number in range(3000):
            send_labelled(client, number, callers=10**6)
            if number % 20 == 0 and trials.running() is None:
                break
        assert wait_for_end(trials)["decision"] == "promote"
        wait_for(
            lambda: client.score("good").items() >= {("version", "2"), ("variant", "champion")}
        )
    assert trials.registry.champion().number == 2
    reign = trials.registry.reigns()[-1]
    assert (reign.replaced, reign.role) == (1, "automatic")


def test_a_canary_that_errs_is_rolled_back_and_nobody_notices(settings, trials, add):
    add("first"), add("errs")
    with trying(settings, trials, share=0.5, copies_per_s=0) as client:
        told = []
        while trials.running() is not None and len(told) < 3000:
            told.append(client.score("good", caller=f"caller {len(told)}"))
    end = wait_for_end(trials)
    assert {one["variant"] for one in told} == {"champion"}
    assert (end["decision"], end["reason"]) == (
        "roll back",
        "more errors answers than the champion",
    )


@pytest.mark.parametrize("automatic", ["none", "rollback"])
def test_what_is_left_to_a_person_waits_for_one(settings, trials, add, automatic):
    add("first"), add("errs")
    with trying(settings, trials, share=0.5, copies_per_s=0, automatic=automatic) as client:
        for number in range(300):
            client.score("good", caller=f"caller {number}")
        if automatic == "rollback":
            assert wait_for_end(trials)["decision"] == "roll back"
            return

        def advised():
            return read_state(trials.registry.lab)["advice"]["decision"] == "roll back"

        wait_for(advised)
        time.sleep(0.5)
        assert trials.running() is not None
        trials.end("roll back", signed=WHO, evidence={})
        wait_for(lambda: post(client, "good", x_variant="canary")[0] == 409)


def test_a_canary_that_does_not_load_ends_its_trial(settings, trials, add):
    add("first"), add("broken")
    with running_service(settings, program=PROGRAM) as client:
        trials.start(
            2, Terms(automatic="none"), signed=WHO
        )  # it answers nobody, so nobody is asked
        end = wait_for_end(trials)
        assert client.score("good")["version"] == "1"
    assert end["decision"] == "roll back" and "version 2 does not load" in end["reason"]


def test_another_champion_ends_the_trial(settings, trials, add):
    add("first"), add("second")
    third = add("third")
    with trying(settings, trials, **LONG) as client:
        by, role, reason = WHO
        trials.registry.promote(third, by=by, role=role, reason=reason, evidence={})
        end = wait_for_end(trials)
        wait_for(lambda: client.score("good")["version"] == "3")
    assert (end["decision"], end["reason"]) == ("stop", "version 3 became champion meanwhile")


def _has_read(lab, label):
    return read_state(lab)["last_label"] == label


def test_a_kill_in_mid_trial_loses_no_label_and_counts_none_twice(settings, trials, add):
    add("first"), add("second")
    trial = trials.start(2, Terms(share=0.3, copies_per_s=0, **LONG), signed=WHO)
    labelled = 0
    for kill in range(3):
        with open(settings.project / f"log-{kill}", "w+b") as log, started(settings, log) as both:
            child, client = both
            for _ in range(60):
                send_labelled(client, labelled, callers=10**6)
                labelled += 1
            if kill == 2:
                wait_for(partial(_has_read, trials.registry.lab, labelled))
            else:
                time.sleep(0.3 * kill)
            child.send_signal(signal.SIGKILL)
    counts = read_state(trials.registry.lab)["seen"]["measures"]["wrong"]["counts"]
    assert sum(answers for answers, _ in counts.values()) == labelled == 180
    assert trials.running() == trial
