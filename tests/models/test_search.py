"""A search that is killed, resumed, or done by several workers finds the same, bit by bit."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from model_examples import make_frame, make_several

import mlops_lab
from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.models.learning import Recipe
from mlops_lab.models.search import Plan, propose, run_search
from mlops_lab.models.search_space import Axis, read_space
from mlops_lab.models.search_trial import Rows, Trial
from mlops_lab.models.search_views import judge_fit, search_table
from mlops_lab.models.tasks import label_space
from mlops_lab.models.training import take_examples

ROOT = Path(mlops_lab.__file__).parents[1]
AXES = (
    Axis("strength", whole=False, low=0.01, high=50.0, log=True),
    Axis("balance", whole=False, low=0.0, high=1.0),
    Axis("longest", whole=True, choices=(3, 4, 5)),
)
PLAN = Plan("tfidf_logistic", AXES, trials=12, together=3)
ALONE = """
import sys; sys.path[:0] = [sys.argv[1]]
from pathlib import Path
from test_search import PLAN, make_rows
from mlops_lab.models.search import run_search
if __name__ == "__main__":
    print("begin", flush=True)
    told = lambda trial: print(trial.number, flush=True)
    folder, workers = Path(sys.argv[2]), int(sys.argv[3])
    found = run_search(PLAN, make_rows(), folder=folder, workers=workers, tell=told)
    print(found.digest, flush=True)
"""


def make_rows(several=False):
    make, name = (make_several, "labels") if several else (make_frame, "label")
    train, dev = make(200, 1), make(120, 2)
    task = label_space("emotion", train[name], several=several)
    return Rows(*take_examples(train, dev, task=task))


@pytest.fixture(scope="module")
def rows():
    return make_rows()


@pytest.fixture(scope="module")
def peaceful(rows, tmp_path_factory):
    return run_search(PLAN, rows, folder=tmp_path_factory.mktemp("peaceful"))


def start(folder, workers):
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    script = folder.parent / "alone.py"
    script.write_text(ALONE)
    command = [sys.executable, str(script), str(Path(__file__).parent), str(folder), str(workers)]
    return subprocess.Popen(
        command,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def read_until(process, new_trials, known):
    "Read what a search tells until it has ended so many trials that were not known."
    heard = []
    for line in process.stdout:
        if line.strip().isdigit():
            heard.append(int(line))
        if len(set(heard) - known) >= new_trials:
            break
    return set(heard)


def is_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def kill_one(folder, workers, known):
    "Kill a search after a few trials, and see that nothing of it lives on."
    process = start(folder, workers)
    heard = read_until(process, random.randint(1, 3), known)
    time.sleep(random.random() * 0.05)
    os.kill(process.pid, signal.SIGKILL)  # the search alone: its workers must notice by themselves
    process.wait()
    deadline = time.monotonic() + 20
    while is_alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(process.pid), "a worker outlived its search"
    process.stdout.close()
    process.stderr.close()
    return known | heard


def test_killed_at_random_points_it_finds_the_same(peaceful, rows, tmp_path):
    "Two kills of a real process by SIGKILL, of one with workers first, then a search to its end."
    folder, heard = tmp_path / "search", []
    known = kill_one(folder, 1, kill_one(folder, 2, set()))
    assert known and len(known) < PLAN.trials
    again = run_search(PLAN, rows, folder=folder, tell=lambda trial: heard.append(trial.number))
    assert sorted(heard) == list(range(PLAN.trials))
    assert again.digest == peaceful.digest
    assert again.best.values == peaceful.best.values
    assert [one.values for one in again.trials] == [one.values for one in peaceful.trials]


def test_it_ends_at_least_as_good_as_the_recipe_it_began_with(peaceful, rows, tmp_path):
    assert PLAN.recipe(peaceful.trials[0].values) == Recipe()
    assert peaceful.best.score >= peaceful.trials[0].score > 0.5
    assert len({tuple(one.values.values()) for one in peaceful.trials}) > 10
    other = run_search(replace(PLAN, base=Recipe(seed=8), trials=3), rows, folder=tmp_path)
    assert other.trials[0].values == peaceful.trials[0].values
    assert other.trials[1].values != peaceful.trials[1].values


def test_it_learns_from_its_trials():
    "With a score that says where to go, later trials are nearer to it than those at random."

    def score(values):
        return (
            1.0 - abs(np.log(values["strength"]) - np.log(5.0)) / 10 - abs(values["balance"] - 0.3)
        )

    known, plan = {}, Plan("tfidf_logistic", AXES, trials=48, together=4)
    for first in range(0, plan.trials, plan.together):
        for number, values in propose(plan, known, first=first).items():
            known[number] = Trial(number, values, {"dev_macro_f1": score(values)})
    scores = [known[i].score for i in range(1, plan.trials)]
    assert np.mean(scores[-12:]) > np.mean(scores[:8]) + 0.1


@contextmanager
def open_storage(folder):
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'trials.db'}")
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def test_users_can_open_the_trials_with_optuna_itself(peaceful, rows, tmp_path):
    found = run_search(replace(PLAN, trials=3), rows, folder=tmp_path)
    with open_storage(tmp_path) as storage:
        study = optuna.load_study(study_name=found.key, storage=storage)
        assert study.best_params == found.best.values
    assert found.trials == tuple(
        replace(one, seconds=two.seconds)
        for one, two in zip(peaceful.trials, found.trials, strict=False)
    )


def test_trials_that_fail_are_kept_and_the_search_goes_on(rows, tmp_path):
    "A table that no machine can hold is a result too, here and in a worker."
    base = Recipe(seed=4, epochs=1, buckets=2_048, dimension=8)
    axes = (Axis("dimension", whole=True, choices=(8, 10**10)),)
    plan = Plan("embedding_bag", axes, trials=3, together=3, base=base)
    found = run_search(plan, rows, folder=tmp_path)
    failed = [one for one in found.trials if one.failed]
    assert failed and all(one.values == {"dimension": 10**10} for one in failed)
    assert found.best.values == {"dimension": 8} and not found.best.failed
    assert run_search(plan, rows, folder=tmp_path).digest == found.digest
    assert set(search_table(found)["fit"]) == {"good", "failed"}


def test_trials_that_the_plan_did_not_propose_are_refused(rows, tmp_path):
    few = run_search(replace(PLAN, trials=3), rows, folder=tmp_path)
    with open_storage(tmp_path) as storage:
        study = optuna.load_study(study_name=few.key, storage=storage)
        own = study.trials[1]
        strange = replace(few.trials[1], number=3, values={**own.params, "balance": 0.125})
        made = {"params": strange.values, "distributions": own.distributions, "value": 0.9}
        study.add_trial(optuna.trial.create_trial(**made, user_attrs=asdict(strange)))
    with pytest.raises(ModelProblem, match="trial 3 tried .* but the plan says"):
        run_search(replace(PLAN, trials=6), rows, folder=tmp_path)


def test_several_labels_are_searched_too(tmp_path):
    found = run_search(replace(PLAN, trials=2, together=2), make_rows(True), folder=tmp_path)
    assert found.best.score > 0.5 and not any(one.failed for one in found.trials)


def test_networks_are_searched_too(rows, tmp_path):
    base = Recipe(epochs=2, buckets=2_048, dimension=8, learning_rate=0.02)
    axes = tuple(axis for axis in read_space("embedding_bag") if axis.name == "dropout")
    plan = Plan("embedding_bag", axes, trials=2, together=2, base=base)
    found = run_search(plan, rows, folder=tmp_path)
    assert [one.metrics["passes"] for one in found.trials] == [2.0, 2.0]
    table = search_table(found)
    assert table["fit"].iloc[0] == "good" and judge_fit(found.best, found.best) == "good"
