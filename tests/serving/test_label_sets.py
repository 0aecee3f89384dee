"""Where a text may have several labels, all of them are answered, kept, told and compared."""

import json
import multiprocessing
import sqlite3
import time
from dataclasses import replace

import jsonschema
import numpy as np
import orjson
import pandas as pd
import pyarrow.csv
import pytest
from canary_examples import WHO, wait_for_end, wait_until_tried
from label_set_examples import write_models
from serving_examples import OLD_NAMES, OLD_TABLE, OneModel, call, make_record

from mlops_lab.foundation.row_file import insert_text
from mlops_lab.foundation.settings import Settings
from mlops_lab.models.bundle import load_bundle, save_bundle
from mlops_lab.models.features import tokens
from mlops_lab.models.pyfunc import TextModel
from mlops_lab.models.scorer import load_scorer
from mlops_lab.monitoring.drift import compare_profiles
from mlops_lab.monitoring.performance import late_performance
from mlops_lab.monitoring.profile import build_profile, read_bundle_profile
from mlops_lab.serving.batch import read_scores, send_feedback, send_texts
from mlops_lab.serving.bundling import BundleWish, make_bundle
from mlops_lab.serving.file_scoring import FileJob, score_file
from mlops_lab.serving.launcher import running_service
from mlops_lab.serving.messages import Asked, Limits, score_answer
from mlops_lab.serving.model_source import LoadedModel, folder_source
from mlops_lab.serving.pages import openapi_record
from mlops_lab.serving.score_erasure import Wish, erase_scores
from mlops_lab.serving.score_exports import export_scores
from mlops_lab.serving.score_record import new_score_id
from mlops_lab.serving.score_store import ScoreStore
from mlops_lab.serving.service import create_app
from mlops_lab.serving.text_table import open_table
from mlops_lab.tracking.trials import Terms


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def models(made):
    return made[0]


@pytest.fixture(scope="module")
def rows(made):
    return made[1]


@pytest.fixture(scope="module")
def expected(models, rows):
    """What the strict model gives to each text: none, one or several."""
    scores = load_scorer(models["strict"]).score(rows["text"].tolist())
    sizes = {len(one) for one in scores.chosen}
    assert sizes >= {0, 1, 2}
    assert any(top not in one for top, one in zip(scores.top, scores.chosen, strict=True) if one)
    return scores


@pytest.fixture
def app(models, store):
    return create_app(Settings(), folder_source(models["strict"], load_scorer), store)


def test_an_answer_has_the_labels_that_pass_surest_first(app, rows, expected):
    texts = rows["text"].tolist()[:40]
    answers = call(app, "POST", "/score", {"text": texts}).json["scores"]
    assert [one["labels"] for one in answers] == expected.chosen[:40]
    assert [one["label"] for one in answers] == expected.top[:40]
    for one in answers:
        chances = [one["probabilities"][label] for label in one["labels"]]
        assert chances == sorted(chances, reverse=True)
        record = call(app, "GET", f"/score/{one['score_id']}").json
        assert record["labels"] == one["labels"] and record["label"] == one["label"]
    single = call(app, "POST", "/score", {"text": texts[0], "explain": True}).json
    assert single["labels"] == expected.chosen[0] and single["words"]


def test_every_label_of_an_answer_is_counted(app, rows, expected):
    texts = rows["text"].tolist()
    for asked in (*(texts[start : start + 40] for start in range(0, 200, 40)), texts[200]):
        assert call(app, "POST", "/score", {"text": asked}).status == 200
    lines = call(app, "GET", "/metrics").body.decode().splitlines()
    sets, who = expected.chosen[:201], 'model="own-tfidf_logistic",version="'
    counted = {line for line in lines if who in line and not line.startswith("#")}
    version = next(iter(counted)).partition(who)[2].partition('"')[0]
    told = {f'answered_texts_total{{{who}{version}"}} 201'}
    told |= {f'unlabelled_texts_total{{{who}{version}"}} {sets.count([])}'}
    for label in {label for labels in sets for label in labels}:
        count = sum(label in labels for labels in sets)
        told |= {f'texts_total{{{who}{version}",label="{label}"}} {count}'}
    assert counted == {f"mlops_lab_{line}" for line in told} and sets.count([]) > 0


def test_an_answer_of_one_label_is_what_it_was_byte_for_byte(store):
    app = create_app(Settings(), OneModel(), store)
    got = call(app, "POST", "/score", {"text": "a good day"})
    head = got.body.index(b'"score_id":"') + 12
    assert got.body[:head] + got.body[head + 32 :] == (
        b'{"model":"keywords","version":"7","variant":"champion","score_id":"","label":"joy",'
        b'"probabilities":{"joy":0.4444444477558136,"neutral":0.3333333432674408,'
        b'"sadness":0.2222222238779068}}'
    )
    record = call(app, "GET", f"/score/{got.json['score_id']}").json
    assert list(record) == [*OLD_NAMES, "feedback"]
    outputs = call(app, "GET", "/v2/models/keywords").json
    assert [one["name"] for one in outputs["outputs"]] == ["label", "probabilities", "score_id"]
    assert set(outputs["parameters"]) == {"labels", "on_request"}
    assert "labels" not in store.frame()


def infer(app, name, texts, **wanted):
    tensor = {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": texts}
    return call(app, "POST", f"/v2/models/{name}/infer", {"inputs": [tensor], **wanted}).json


def test_the_inference_protocol_has_them_as_one_tensor(app, rows, expected):
    texts, name = rows["text"].tolist()[:50], "own-tfidf_logistic"
    told = call(app, "GET", f"/v2/models/{name}").json
    assert told["outputs"][-1] == {"name": "labels", "datatype": "BYTES", "shape": [-1]}
    assert json.loads(told["parameters"]["thresholds"]) == [0.6, 0.45, 0.4]
    outputs = infer(app, name, texts)["outputs"]
    assert [one["name"] for one in outputs] == ["label", "probabilities", "score_id", "labels"]
    assert outputs[-1]["data"] == ["|".join(one) for one in expected.chosen[:50]]
    named = [{"name": one} for one in ("label", "probabilities", "score_id")]
    assert len(infer(app, name, texts, outputs=named)["outputs"]) == 3
    [only] = infer(app, name, texts, outputs=[{"name": "labels"}])["outputs"]
    assert only["data"] == outputs[-1]["data"] and only["shape"] == [50]


def test_feedback_names_all_labels_or_none_and_ones_the_model_never_heard_of(app, store, rows):
    asked = {"text": rows["text"].tolist()[:3]}
    ids = [one["score_id"] for one in call(app, "POST", "/score", asked).json["scores"]]
    said = [["positive", "negative", "positive"], [], ["bored"]]
    for score_id, labels in zip(ids, said, strict=True):
        got = call(app, "POST", "/feedback", {"score_id": score_id, "labels": labels})
        assert got.status == 200, got.body
    kept = [store.read(one)["feedback"][0]["label"] for one in ids]
    assert kept == ["positive|negative", "", "bored"]
    for wrong in (
        {"labels": "joy"},
        {"labels": ["a|b"]},
        {"labels": [], "label": "joy"},
        {"labels": ["joy", 1]},
    ):
        assert call(app, "POST", "/feedback", {"score_id": ids[0], **wrong}).status == 422
    long = {"labels": [f"label {number:03d}" for number in range(30)]}
    assert call(app, "POST", "/feedback", {"score_id": ids[0], **long}).status == 422


@pytest.fixture
def lab(tmp_path):
    return Settings(project=tmp_path, workspace=tmp_path / ".lab")


def test_a_batch_keeps_its_sets_and_is_measured_by_them(lab, models, rows, expected, tmp_path):
    texts, truth = rows["text"].tolist()[:120], rows["labels"].tolist()[:120]
    with running_service(lab, bundle=models["strict"]) as client:
        ids = send_texts(client, texts, caller="Ana")
        send_feedback(client, ids, labels=["|".join(one.split("|")[::-1]) for one in truth])
        client.feedback(ids[0], ["bored"])
        assert client.read(ids[1])["labels"] == expected.chosen[1]
    frame = read_scores(lab, ids)
    assert frame["labels"].tolist() == ["|".join(one) for one in expected.chosen[:120]]
    frame.to_parquet(tmp_path / "batch.parquet")
    again = pd.read_parquet(tmp_path / "batch.parquet")
    same = [set(a) == set(b.split("|")) for a, b in zip(expected.chosen, truth, strict=False)]
    found = late_performance(again)
    assert found.accuracy == pytest.approx(np.mean([False, *same[1:]]))
    assert 0 < found.expected_accuracy < 1
    for name in ("all.parquet", "all.csv"):
        assert export_scores(lab, tmp_path / name)["rows"] == 120
    made = pd.read_parquet(tmp_path / "all.parquet").set_index("score_id").loc[ids]
    assert made["labels"].tolist() == frame["labels"].tolist()
    assert made["true_label"].tolist()[0] == "bored"
    plain = pyarrow.csv.read_csv(tmp_path / "all.csv")
    assert sorted(plain.column("labels").to_pylist()) == sorted(frame["labels"])
    told = erase_scores(lab, Wish(caller="Ana"), by="Ben", reason="drill")
    assert told["scores"] == 120 and not (tmp_path / "all.parquet").exists()


def test_what_is_served_is_watched_label_by_label(lab, models, rows):
    """Against the profile in its bundle: quiet on rows like those, else a label is named."""
    reference = read_bundle_profile(models["first"])
    chosen = load_scorer(models["first"]).score(rows["text"].tolist()).chosen
    with running_service(lab, bundle=models["first"]) as client:
        ids = send_texts(client, rows["text"].tolist(), caller="Ana")
    frame = read_scores(lab, ids)
    window = build_profile(frame, like=reference, tokenise=tokens)
    for label, share in window["labels"].items():
        assert share == pytest.approx(np.mean([label in one for one in chosen]))
        assert share == pytest.approx(reference["labels"][label], abs=0.12)
    assert window["unlabelled"] == pytest.approx(np.mean([not one for one in chosen]))
    quiet = compare_profiles(reference, window)
    assert "labels" not in quiet.alarms
    both = frame[[len(one) > 1 for one in chosen]]
    drifted = pd.concat([frame, both, both, both])
    found = compare_profiles(reference, build_profile(drifted, like=reference, tokenise=tokens))
    assert "labels" in found.alarms and found.signals[0].detail.split(":")[0] in reference["labels"]


def test_a_bundle_of_before_is_watched_by_the_surest_label(lab, models, rows, tmp_path):
    bundle = load_bundle(models["first"])
    new = {"given_shares", "unlabelled_share"}
    old = {name: told for name, told in bundle.profile.items() if name not in new}
    folder = save_bundle(replace(bundle, profile=old), tmp_path / "before")
    reference = read_bundle_profile(folder)
    assert reference["labels"] == old["predicted_shares"] and "unlabelled" not in reference
    with running_service(lab, bundle=folder) as client:
        ids = send_texts(client, rows["text"].tolist()[:100], caller="Ana")
    frame = read_scores(lab, ids)
    window = build_profile(frame, like=reference, tokenise=tokens)
    said = frame["label"].value_counts(normalize=True)
    assert {n: s for n, s in window["labels"].items() if s} == pytest.approx(said.to_dict())
    assert "labels" not in compare_profiles(reference, window).alarms


def test_a_file_gets_a_column_of_all_labels(models, rows, expected, tmp_path, store):
    source, target = tmp_path / "in.csv", tmp_path / "out.parquet"
    texts = [*rows["text"].tolist()[:30], " "]
    pd.DataFrame({"text": texts}).to_csv(source, index=False)
    model = LoadedModel("m", "1", "champion", load_scorer(models["strict"]))
    job = FileJob(open_table(source), target, Limits(10**6, 256, 5000), piece_rows=8)
    score_file(job, model, store=store)
    made = pd.read_parquet(target)
    assert list(made.columns[:4]) == ["text", "predicted", "confidence", "predicted_labels"]
    sets = ["|".join(one) for one in expected.chosen[:30]]
    assert made["predicted_labels"].tolist()[:30] == sets and made["predicted_labels"].isna()[30]
    kept = store.frame().set_index("score_id")["labels"]
    assert kept.loc[made["score_id"][:30]].tolist() == sets
    plain = replace(job, target=tmp_path / "plain.csv")
    score_file(plain, replace(model, scorer=OneModel().model.scorer))
    assert "predicted_labels" not in plain.target.read_text()


def test_other_servers_tell_them_too(models, rows, expected, tmp_path):
    folder = make_bundle(BundleWish(models["strict"]), tmp_path / "release")
    signature = (tmp_path / "release" / "MLmodel").read_text()
    assert '"name":"labels"' in signature.replace(" ", "").replace("\n", ""), folder
    table = TextModel(load_scorer(models["strict"])).predict(rows.head(40))
    assert list(table.columns[:2]) == ["label", "labels"]
    assert table["labels"].tolist() == ["|".join(one) for one in expected.chosen[:40]]


def test_answers_are_what_the_record_of_routes_says(models, rows, store):
    """One label or several, one text or many, asked, corrected and read again."""
    record = json.loads(openapi_record())
    for source in (folder_source(models["strict"], load_scorer), OneModel()):
        app, texts = create_app(Settings(), source, store), rows["text"].tolist()[:20]
        name = call(app, "GET", "/v2/models").json["models"][0]
        single = call(app, "POST", "/score", {"text": texts[0]})
        score_id = single.json["score_id"]
        tensor = {"name": "text", "shape": [20], "datatype": "BYTES", "data": texts}
        said = {"score_id": score_id, "labels": ["positive", "negative"]}
        answers = {
            ("/score", "post"): [single, call(app, "POST", "/score", {"text": texts})],
            ("/feedback", "post"): [call(app, "POST", "/feedback", said)],
            ("/score/{score_id}", "get"): [call(app, "GET", f"/score/{score_id}")],
            ("/v2/models/{name}/infer", "post"): [
                call(app, "POST", f"/v2/models/{name}/infer", {"inputs": [tensor]})
            ],
        }
        for (path, method), found in answers.items():
            told = record["paths"][path][method]["responses"]["200"]["content"]
            schema = told["application/json"]["schema"] | {"components": record["components"]}
            for one in found:
                assert one.status == 200, one.body
                jsonschema.validate(one.json, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(single.json | {"labels": "joy"}, answer_schema(record))


def answer_schema(record):
    schema = record["paths"]["/score"]["post"]["responses"]["200"]["content"]["application/json"]
    return schema["schema"] | {"components": record["components"]}


def test_links_between_routes_lead_somewhere():
    record = json.loads(openapi_record())
    routes = [one for path in record["paths"].values() for one in path.values()]
    named = {one["operationId"]: one for one in routes if "operationId" in one}
    links = [
        link
        for route in routes
        for answer in route["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(links) == 8
    for link in links:
        target = named[link["operationId"]]
        wanted = {one["name"] for one in target.get("parameters", ()) if one["in"] == "path"}
        assert set(link.get("parameters", ())) == wanted


def make_old_store(place, count=3):
    """A score store as the lab made it before a text could have several labels."""
    records = [make_record(score_id=new_score_id()) for _ in range(count)]
    with sqlite3.connect(place) as file:
        file.execute("PRAGMA journal_mode=WAL")
        file.execute(OLD_TABLE)
        for one in records:
            write_old(file, one)
    file.close()
    return [one.score_id for one in records]


def write_old(file, record):
    values = tuple(getattr(record, name) for name in OLD_NAMES)
    file.execute(insert_text("scores", OLD_NAMES, rows=1), values)


def test_a_store_of_before_goes_on_without_any_repair(tmp_path):
    ids = make_old_store(tmp_path / "scores.db")
    older = sqlite3.connect(tmp_path / "scores.db", isolation_level=None)  # still at work
    store = ScoreStore(tmp_path / "scores.db")
    new = make_record(label="joy", labels="joy|love")
    assert store.save_now([new]) and store.count() == 4
    write_old(older, make_record())
    older.close()
    assert all("labels" not in store.read(one) for one in ids)
    assert store.read(new.score_id)["labels"] == ["joy", "love"]
    assert store.frame()["labels"].notna().sum() == 1 and store.count() == 5
    store.close()
    again = ScoreStore(tmp_path / "scores.db")
    assert again.read(new.score_id)["labels"] == ["joy", "love"]
    again.close()


def _open(place, barrier, line):
    barrier.wait()
    try:
        store = ScoreStore(place)
        store.save([make_record(labels="joy")])
        line.put("")
        store.close()
    except Exception as problem:
        line.put(repr(problem))


def test_many_may_open_a_store_of_before_in_the_same_moment(tmp_path):
    make_old_store(tmp_path / "scores.db")
    context = multiprocessing.get_context("spawn")
    barrier, line = context.Barrier(4), context.Queue()
    arguments = (tmp_path / "scores.db", barrier, line)
    children = [context.Process(target=_open, args=arguments) for _ in range(4)]
    for child in children:
        child.start()
    assert [line.get(timeout=30) for _ in children] == [""] * 4
    for child in children:
        child.join(10)
    store = ScoreStore(tmp_path / "scores.db")
    assert store.count() == 7
    store.close()


def test_records_of_both_kinds_share_a_store(store):
    assert store.save_now([make_record(), make_record(labels=""), make_record(labels="joy|sad")])
    found = store.frame()["labels"]
    assert found.isna().sum() == 1 and sorted(found.dropna()) == ["", "joy|sad"]
    answer = orjson.loads(score_answer(Asked(["a"], is_single=True), [make_record(labels="")]))
    assert answer["labels"] == []


@pytest.fixture
def register_models(registry, models):
    """Make the first model champion and another version 2."""

    def register_both(name):
        for number, folder in enumerate((models["first"], models[name]), 1):
            version = registry.register(folder, run_id="r", metrics={})
            assert version.number == number
            if number == 1:
                by, role, reason = WHO
                registry.promote(version, by=by, role=role, reason=reason, evidence={})

    return register_both


def play(client, trials, rows, *, until_s=40.0):
    """Ask with late and whole labels until the trial ends."""
    end, number = time.monotonic() + until_s, 0
    while trials.running() is not None and time.monotonic() < end:
        row = rows.iloc[number % len(rows)]
        told = client.score(row["text"], caller=f"caller {number}")
        client.feedback(told["score_id"], row["labels"].split("|")[::-1])
        number += 1
        time.sleep(0.005)


def try_canary(settings, trials, rows, margin):
    """How the trial of version 2 ends."""
    with running_service(settings) as client:
        terms = Terms(share=0.3, copies_per_s=1000, margin=margin, labels=30)
        wait_until_tried(trials, trials.start(2, terms, signed=WHO))
        play(client, trials, rows)
        return wait_for_end(trials)


def test_a_worse_canary_of_several_labels_is_rolled_back(settings, trials, rows, register_models):
    register_models("worse")
    end = try_canary(settings, trials, rows, margin=0.2)
    assert (end["decision"], end["role"]) == ("roll back", "automatic"), end
    assert trials.registry.champion().number == 1


def test_an_equal_canary_of_several_labels_is_promoted(settings, trials, rows, register_models):
    register_models("equal")
    end = try_canary(settings, trials, rows, margin=0.25)
    assert end["decision"] == "promote", end
    told = end["evidence"]
    assert 0 < told["copies"]["differing"] < told["copies"]["texts"]
    store = ScoreStore(settings.workspace / "scores.db")
    frame = store.frame(shadows=True)
    store.close()
    assert frame["labels"].notna().all() and {"shadow"} < set(frame["variant"])
    wrong = told["wrong"]["champion"]
    assert 0 < wrong["bad"] < wrong["answers"]  # sets in another order were right
