"""One service, several models: each by its name, with a champion and a canary of its own."""

import asyncio
from functools import partial

import pytest
from canary_examples import PROGRAM, WHO, post, wait_for, wait_until_tried
from serving_examples import KeywordScorer, OneModel, ask, call

from mlops_lab.foundation.errors import ModelProblem, ServiceProblem
from mlops_lab.foundation.settings import Settings
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.serving.launcher import running_service
from mlops_lab.serving.model_source import LoadedModel
from mlops_lab.serving.observations import Observations, read_state
from mlops_lab.serving.refusals import Refusal
from mlops_lab.serving.score_store import ScoreStore
from mlops_lab.serving.served_models import open_models, read_wishes
from mlops_lab.serving.service import create_app
from mlops_lab.tracking.registry import Registry
from mlops_lab.tracking.trials import Terms, Trial, Trials


class Named(OneModel):
    """The keyword scorer under a name, with labels that tell which model answered."""

    def __init__(self, name, problem=None):
        super().__init__(problem)
        labels = tuple(f"{label}-{name}" for label in KeywordScorer.labels)
        self.model = LoadedModel(name, "7", "champion", KeywordScorer(name, labels))


@pytest.fixture
def app(store):
    return create_app(Settings(service_queue_limit=40), [Named("first"), Named("second")], store)


def infer(app, name, *texts):
    tensor = {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": list(texts)}
    return call(app, "POST", f"/v2/models/{name}/infer", {"inputs": [tensor]})


# In process


def test_a_request_gets_the_model_it_names_and_else_the_first(app, store):
    for asked, model in (({}, "first"), ({"model": "first"}, "first"), ({"model": "second"},) * 2):
        told = call(app, "POST", "/score", {"text": "good"} | asked).json
        name = model if isinstance(model, str) else model["model"]
        assert (told["model"], told["label"]) == (name, f"joy-{name}")
        stored = call(app, "GET", f"/score/{told['score_id']}").json
        assert (stored["model"], stored["label"]) == (name, f"joy-{name}")
        said = {"score_id": told["score_id"], "label": "neutral"}
        assert call(app, "POST", "/feedback", said).status == 200
    assert store.count() == 3


def test_the_protocol_finds_each_model(app):
    for name in ("first", "second"):
        told = infer(app, name, "good", "bad").json
        assert told["model_name"] == name
        assert told["outputs"][0]["data"] == [f"joy-{name}", f"sadness-{name}"]
        assert call(app, "GET", f"/v2/models/{name}").json["name"] == name
        assert call(app, "GET", f"/v2/models/{name}/versions/7/ready").json["ready"] is True
        assert call(app, "GET", f"/v2/models/{name}/versions/8").status == 404


def test_a_name_that_nobody_has_is_404_and_names_those_there_are(app, store):
    answers = [
        call(app, "POST", "/score", {"text": "good", "model": "third"}),
        infer(app, "third", "good"),
        call(app, "GET", "/v2/models/third"),
        call(app, "GET", "/v2/models/third/ready"),
    ]
    for answer in answers:
        assert answer.status == 404 and "third" in answer.json["error"]
        assert answer.json["expected"] == "one of first, second"
    assert store.count() == 0


@pytest.mark.parametrize("model", ["", None, 7, ["first"], "x" * 201])
def test_a_name_that_is_none_is_refused(app, model):
    assert call(app, "POST", "/score", {"text": "good", "model": model}).status == 422


def test_the_list_of_models_is_what_tritons_client_reads(app):
    rows = call(app, "POST", "/v2/repository/index").json
    assert [row["name"] for row in rows] == ["first", "second"]
    assert all(set(row) == {"name", "version", "state", "reason"} for row in rows)
    assert call(app, "POST", "/v2/repository/index", {"ready": True}).json == rows
    assert call(app, "GET", "/v2/models").json == {"models": ["first", "second"]}
    assert call(app, "POST", "/v2/repository/index", {"ready": 1}).status == 422
    assert call(app, "POST", "/v2/repository/index", b"[").status == 422


def test_one_model_is_found_by_its_name_too(store):
    app = create_app(Settings(), Named("only"), store)
    assert call(app, "POST", "/score", {"text": "good", "model": "only"}).json["model"] == "only"
    refused = call(app, "POST", "/score", {"text": "good", "model": "other"})
    assert refused.status == 404 and refused.json["expected"] == "model 'only'"
    assert [row["name"] for row in call(app, "POST", "/v2/repository/index").json] == ["only"]
    none = create_app(Settings(), Named("only", ModelProblem("no model to serve")), store)
    assert call(none, "POST", "/v2/repository/index").json == []


def test_two_models_of_one_name_are_refused_at_the_start(store):
    with pytest.raises(ServiceProblem, match="two models are called 'first'") as told:
        create_app(Settings(), [Named("first"), Named("second"), Named("first")], store)
    assert "--bundle NAME=PATH" in str(told.value)


def test_a_model_in_trouble_leaves_the_others_alone(store):
    second = Named("second")
    app = create_app(Settings(), [Named("first"), second], store)
    second.problem = ModelProblem("it is gone")
    assert call(app, "POST", "/score", {"text": "good"}).status == 200
    assert call(app, "POST", "/score", {"text": "good", "model": "second"}).status == 503
    assert call(app, "GET", "/v2/health/ready").status == 503
    rows = call(app, "POST", "/v2/repository/index").json
    assert [(row["state"], row["reason"]) for row in rows] == [
        ("READY", ""),
        ("UNAVAILABLE", "it is gone"),
    ]
    ready = call(app, "POST", "/v2/repository/index", {"ready": True}).json
    assert [row["name"] for row in ready] == ["first"]
    second.problem = None
    told = call(app, "GET", "/v2/health/ready").json
    assert told["model"] == "first"
    assert [row["name"] for row in told["models"]] == ["first", "second"]


def test_metrics_tell_the_models_apart(app):
    call(app, "POST", "/score", {"text": ["good", "bad"]})
    call(app, "POST", "/score", {"text": "good", "model": "second"})
    infer(app, "second", "good")
    call(app, "POST", "/score", {"text": "good", "model": "third"})
    lines = call(app, "GET", "/metrics").body.decode().splitlines()
    assert 'mlops_lab_requests_total{model="first",route="/score",status="200"} 1' in lines
    assert 'mlops_lab_requests_total{model="second",route="/score",status="200"} 1' in lines
    assert 'mlops_lab_requests_total{route="/score",status="404"} 1' in lines
    for told in (
        'second",version="7",label="joy-second"} 2',
        'first",version="7",label="joy-first"} 1',
    ):
        assert f'mlops_lab_texts_total{{model="{told}' in lines
    assert 'mlops_lab_request_seconds_count{model="second"} 2' in lines
    assert (
        'mlops_lab_texts_in_work{model="first"} 0' in lines and "mlops_lab_rows_waiting 0" in lines
    )
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


def test_a_flood_on_one_model_does_not_refuse_the_other(app):
    async def flood():
        body = {"text": ["good"] * 30, "model": "second"}
        crowd = [asyncio.create_task(ask(app, "POST", "/score", body)) for _ in range(5)]
        await asyncio.sleep(0)
        quiet = await ask(app, "POST", "/score", {"text": "good"})
        return quiet, await asyncio.gather(*crowd)

    quiet, crowd = asyncio.run(flood())
    assert quiet.status == 200 and {answer.status for answer in crowd} == {200, 429}


def test_the_page_lets_people_choose(app, store):
    assert b'const models = ["first", "second"];' in call(app, "GET", "/").body
    assert b"const models = [];" in call(create_app(Settings(), Named("a"), store), "GET", "/").body


def test_labels_of_another_model_are_no_evidence(tmp_path):
    trial = Trial(2, "d", tmp_path, 1, Terms(), "2026", "Ana", "line")
    row = {"number": 1, "variant": "champion", "version": "1", "model": "other", "label": "joy"}
    row |= {"true_label": "joy", "copied_label": "sad", "caller": "Ana", "text": "good"}
    seen = Observations(trial, models=("own", "own-two"))
    seen.saw_label(row)
    assert seen.last_label == 1 and seen.evidence.measures["wrong"].counts["canary"] == [0, 0]
    seen.saw_label(row | {"number": 2, "model": "own-two"})
    assert seen.evidence.measures["wrong"].counts["canary"] == [1, 1]


# As a process


@pytest.fixture
def make_lab(tmp_path):
    """A lab whose first bundle is champion."""

    def make(name, *kinds):
        registry = Registry(Workspace(tmp_path / name).create(), mirrored=False)
        add = partial(add_version, registry, tmp_path / f"{name}-bundles")
        for kind in kinds:
            version = add(kind)
            if version.number == 1:
                promote(registry, version)
        return registry, add

    return make


def add_version(registry, place, kind):
    folder = place / kind
    folder.mkdir(parents=True)
    what = "kind" if kind in ("errs", "worse", "broken") else "mark"
    for name, text in (("name", f"model-{kind}"), (what, kind)):
        (folder / f"{name}.txt").write_text(text)
    for name in ("card.json", "manifest.json"):
        (folder / name).write_text("{}")
    return registry.register(folder, run_id="r", metrics={})


def promote(registry, version):
    by, role, reason = WHO
    registry.promote(version, by=by, role=role, reason=reason, evidence={})


@pytest.fixture
def make_bundle(tmp_path):
    def make(name):
        folder = tmp_path / f"bundle-{name}"
        folder.mkdir()
        (folder / "name.txt").write_text(name)
        (folder / "mark.txt").write_text(name)
        (folder / "manifest.json").write_text(f'{{"of": "{name}"}}')
        return folder

    return make


def with_labs(*labs):
    return (*PROGRAM, *(f"--lab={name}={lab.lab.root}" for name, lab in labs))


def test_a_service_answers_with_two_bundles_and_a_champion(settings, make_bundle, make_lab):
    lab, _ = make_lab("course", "a")
    bundles = [str(make_bundle("plain")), f"renamed={make_bundle('other')}"]
    with running_service(settings, bundle=bundles, program=with_labs(("course", lab))) as client:
        assert [row["name"] for row in client.models()] == ["course", "plain", "renamed"]
        labels = {name: client.score("good", model=name) for name in ("course", "plain", "renamed")}
        default = client.score("good")
        assert client.infer(["good"], "renamed")["outputs"][0]["data"] == ["joy-other"]
        with pytest.raises(Refusal, match="one of course, plain, renamed"):
            client.score("good", model="model-a")
    assert [told["label"] for told in labels.values()] == ["joy-a", "joy-plain", "joy-other"]
    assert [told["model"] for told in labels.values()] == ["course", "plain", "renamed"]
    assert default["model"] == "course"
    store = ScoreStore(settings.workspace / "scores.db")
    assert sorted(store.frame()["model"]) == ["course", "course", "plain", "renamed", "renamed"]
    store.close()


def test_two_bundles_of_one_name_do_not_start(settings, make_bundle):
    first, second = make_bundle("one"), make_bundle("two")
    (second / "name.txt").write_text("one")
    with pytest.raises(ServiceProblem, match="two models are called 'one'"):
        with running_service(settings, bundle=[str(first), str(second)], program=PROGRAM):
            pass


def test_each_champion_is_swapped_alone_and_keeps_its_name(settings, make_lab):
    (left, add_left), (right, add_right) = make_lab("left", "a"), make_lab("right", "b")
    labs = with_labs(("left", left), ("", right))
    labs = tuple(one.replace("--lab==", "--lab=") for one in labs)
    with running_service(settings, program=labs) as client:
        assert [row["name"] for row in client.models()] == ["left", "model-b"]
        promote(right, add_right("c"))
        wait_for(lambda: client.score("good", model="model-b")["version"] == "2")
        told = client.score("good", model="model-b")
        assert (told["label"], told["model"]) == ("joy-c", "model-b")
        promote(left, add_left("broken"))  # does not warm up: taken back in its own log
        wait_for(lambda: left.log.last("rollback"))
        assert client.score("good")["label"] == "joy-a" and left.champion().number == 1
        assert right.champion().number == 2 and right.log.last("rollback") is None


def test_each_lab_tries_its_own_canary(settings, make_lab):
    (left, _), (right, _) = make_lab("left", "a", "errs"), make_lab("right", "b", "c")
    with running_service(settings, program=with_labs(("left", left), ("right", right))) as client:
        terms = {"copies_per_s": 0, "labels": 10**9}
        trial = Trials(right).start(2, Terms(share=0.5, **terms), signed=WHO)
        wait_until_tried(Trials(right), trial)
        told = {client.score("good", model="right", caller=f"c{i}")["variant"] for i in range(60)}
        assert told == {"champion", "canary"}
        assert {client.score("good", caller=f"c{i}")["variant"] for i in range(60)} == {"champion"}
        assert post(client, "good", x_variant="canary")[0] == 409
        for number in range(20):  # of the other model, whose version is 1 as well
            score = client.score("bad", model="left", caller=f"l{number}")
            client.feedback(score["score_id"], "joy-a")
        other = Trials(left).start(2, Terms(share=0.9, **terms), signed=WHO)
        wait_until_tried(Trials(left), other)
        for number in range(400):
            assert client.score("good", caller=f"x{number}")["variant"] == "champion"
            if Trials(left).running() is None:
                break
        wait_for(lambda: Trials(left).running() is None)
        assert left.log.last("canary_end").data["decision"] == "roll back"
        assert Trials(right).running() is not None
        said = client.score("good", model="right", caller="c1")
        client.feedback(said["score_id"], "joy-b")
        wait_for(lambda: read_state(right.lab)["last_label"] == 21, 20)
        wrong = read_state(right.lab)["evidence"]["wrong"]
        assert wrong["champion"]["answers"] + wrong["canary"]["answers"] == 1


def test_the_processes_of_the_copies_go_by_the_same_name(settings, make_lab):
    lab, _ = make_lab("lab", "a", "b")
    store = ScoreStore(settings.workspace.parent / "none.db")
    store.close()
    with running_service(settings, program=with_labs(("fixed", lab))) as client:
        trial = Trials(lab).start(2, Terms(share=0.0, copies_per_s=100), signed=WHO)
        wait_until_tried(Trials(lab), trial)
        for number in range(30):
            client.score(f"good {number}")
        wait_for(lambda: read_state(lab.lab)["copies"]["made"] > 0, 30)
    store = ScoreStore(settings.workspace / "scores.db")
    frame = store.frame(shadows=True)
    store.close()
    assert set(frame["model"]) == {"fixed"} and "shadow" in set(frame["variant"])


def test_a_lab_without_champion_does_not_start(settings, tmp_path):
    with pytest.raises(ModelProblem, match="no model to serve"):
        wishes = read_wishes([str(tmp_path / "none")], [])
        open_models(settings, lambda folder: None, wishes=wishes)
