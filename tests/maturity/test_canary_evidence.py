"""A canary trial proves what it shows in two logs at once: the decision log and the score store."""

import sqlite3

import pytest
from full_project import write_scores

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.maturity.bank import read_bank
from mlops_lab.maturity.evidence import gather_evidence
from mlops_lab.maturity.model_checks import trial_of
from mlops_lab.maturity.traces import Traces

BANK = read_bank()
SIGNED = {"by": "service", "role": "automatic canary", "reason": "good enough"}


def a_trial(folder, *, decision="promote", traffic=True, link=""):
    """The lines that `mlops-lab canary` leaves, as its registry writes them."""
    lab = Workspace(folder / ".lab").create()
    log = ChainLog(lab.decisions)
    for number in (1, 2):
        log.append("register", {"number": number, "digest": f"sha256:{number}", "run_id": "r"})
    begun = log.append("canary", {"number": 2, "champion": 1, "terms": {"share": 0.1}, **SIGNED})
    if traffic:
        write_scores(lab, "2", variant="canary", caller="shop")
    facts = {"number": 2, "trial": begun.digest, "decision": decision, "evidence": {}}
    end = log.append("canary_end", facts | SIGNED)
    if decision == "promote":
        evidence = {"canary_end": link or end.digest, "measures": {}}
        log.append("promote", {"number": 2, "evidence": evidence, "replaced": 1, **SIGNED})
    return lab


def findings(folder):
    return gather_evidence(folder, BANK).findings


def test_a_trial_that_ends_in_a_promotion_is_seen(tmp_path):
    a_trial(tmp_path)
    found = findings(tmp_path)
    assert (found["S04"].count, found["S04"].ceiling) == (1, 1)
    assert found["S10"].ceiling == 1, "it answered callers before it was promoted"
    assert found["V06"].reason != "broken", "the trial decided, not the rules of the gate"


def test_a_canary_that_was_sent_back_is_a_trial_and_a_way_back(tmp_path):
    a_trial(tmp_path, decision="roll back")
    found = findings(tmp_path)
    assert found["S04"].ceiling == 1 and (found["S05"].count, found["S05"].ceiling) == (1, 1)


def test_a_trial_that_was_only_stopped_is_no_way_back(tmp_path):
    a_trial(tmp_path, decision="stop")
    assert findings(tmp_path)["S05"].ceiling == 0


def test_a_trial_without_a_single_answer_proves_nothing(tmp_path):
    a_trial(tmp_path, traffic=False)
    assert findings(tmp_path)["S04"].ceiling == 0


def test_answers_that_came_after_the_end_are_out_of_order(tmp_path):
    lab = a_trial(tmp_path)
    connection = sqlite3.connect(lab.score_store)
    connection.execute("update scores set at = '2099-01-01T00:00:00'")
    connection.commit()
    connection.close()
    found = findings(tmp_path)["S04"]
    assert (found.ceiling, found.reason) == (0, "order")


@pytest.mark.parametrize("link", ["sha256:forged", "none"])
def test_a_promotion_that_names_another_trial_is_not_believed(tmp_path, link):
    a_trial(tmp_path, link=link)
    lab = Traces(tmp_path).labs[0]
    assert trial_of(lab, lab.decided("promote")[-1]) is None
    found = findings(tmp_path)
    assert found["S10"].reason == "broken" and found["V06"].reason == "broken"


def test_an_old_champion_may_be_tried_again(tmp_path):
    log = ChainLog(Workspace(tmp_path / ".lab").create().decisions)
    log.append("promote", {"number": 2, "evidence": {"run_id": "r", "reasons": []}, **SIGNED})
    a_trial(tmp_path, decision="roll back")
    found = findings(tmp_path)["S04"]
    assert (found.ceiling, found.reason) == (1, "few")


def test_copies_that_the_champion_answers_beside_a_trial_are_no_late_trial(tmp_path):
    log = ChainLog(Workspace(tmp_path / ".lab").create().decisions)
    log.append("promote", {"number": 1, "evidence": {"run_id": "r", "reasons": []}, **SIGNED})
    lab = a_trial(tmp_path, decision="roll back")
    write_scores(lab, "1", variant="shadow", caller="shop")
    found = findings(tmp_path)["S04"]
    assert (found.count, found.ceiling, found.reason) == (1, 1, "few")


def test_the_first_copies_of_a_version_that_is_champion_already_are_late(tmp_path):
    lab = Workspace(tmp_path / ".lab").create()
    log = ChainLog(lab.decisions)
    log.append("promote", {"number": 1, "evidence": {"run_id": "r", "reasons": []}, **SIGNED})
    write_scores(lab, "1", variant="shadow", caller="shop")
    assert findings(tmp_path)["S04"].reason == "order"
