"""A small project with every kind of trace, written by git and by the lab's own writers."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.records import digest_bytes, digest_folder, write_json
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.pipeline.record import StageRecord, read_record, write_record
from mlops_lab.serving.score_record import ScoreRecord, new_score_id, utc_now
from mlops_lab.serving.score_tables import feedback_row, open_engine, score_row, write_rows
from mlops_lab.tracking.registry import Registry
from mlops_lab.tracking.runs import TrainingRun, track_candidate

PEOPLE = ("Ada", "Ben", "Cleo")
PIPELINES = ("shop", "mail", "chat")
NOTEBOOK = "notebooks/pipelines/shop/train.ipynb"
TRAIN_DATA = b"rows to learn from\n"
BLOCKS = (
    "value task decisions predictions evaluation sources collecting features building monitoring"
)
CI = """on:
  push: {}
  schedule: [{cron: "0 3 * * *"}]
jobs:
  test: {steps: [{run: pytest --junitxml=reports/junit.xml}, {run: docker build .}]}
  retrain: {steps: [{run: mlops-lab run}]}
"""
TESTS = {
    "test_features": "from shop.features import make\n\ndef test_a_banned_column_is_refused():\n"
    "    ...\n\ndef test_words_become_features():\n    ...\n",
    "test_training": "from shop.models.training import fit\n\ndef test_the_loss_falls():\n    ...\n"
    "\ndef test_a_nan_stops_training():\n    ...\n",
    "test_service": "from shop.serving.service import app\nfrom shop.scorer import score\n\n"
    "def test_the_endpoint_scores():\n    ...\n",
    "test_pipeline": "def test_every_stage_end_to_end():\n    ...\n\n"
    "def test_retention_of_personal_data():\n    ...\n",
}


def notebook(*sources: str, outputs: bool = False) -> str:
    """A notebook as text."""
    told = [{"output_type": "stream", "name": "stdout", "text": "found"}] if outputs else []
    cells = [{"cell_type": "code", "source": s, "outputs": told, "metadata": {}} for s in sources]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def files() -> dict[str, str]:
    """Everything that is tracked, by path."""
    canvas = {block: f"the {block} of the shop" for block in BLOCKS.split()}
    catalogue = [{"name": "text", "description": "what was written", "owner": "Ada"}]
    tasks = {"train": {"DS": "A/R", "DE": "C"}, "deploy": {"SE": "A/R", "DS": "I"}}
    return {
        **{f"tests/{name}.py": text for name, text in TESTS.items()},
        "shop/__init__.py": "",
        "shop/serving/service.py": "latency_ms = 0.0\n",
        NOTEBOOK: notebook("from shop import features"),
        "notebooks/pipelines/shop/pipeline.yaml": "stages: {}\n",
        "notebooks/look.ipynb": notebook("import shop"),
        "notebooks/report.ipynb": notebook("from shop import report"),
        "notebooks/debug_score.ipynb": notebook("score_id = 'x'", outputs=True),
        ".github/workflows/ci.yml": CI,
        ".githooks/pre-commit": "#!/bin/sh\nexit 0\n",
        ".gitignore": ".lab*/\nreports/\n",
        "constraints.txt": "numpy==2.1.0\n",
        "Dockerfile": "FROM python:3.11\n",
        "settings.ini": "[DEFAULT]\nminimum_macro_f1 = 0.5\nretrain_below = 0.7\n",
        "canvas.json": json.dumps(canvas | {"evaluation": "dev_f1 on held-out rows"}),
        "catalogue.json": json.dumps(catalogue),
        "roles.json": json.dumps({"tasks": tasks, "people": {"Ada": ["DS", "DE"], "Ben": "SE"}}),
        "openapi.json": '{"openapi": "3.1.0"}',
        "data_schema.json": '{"columns": {"text": "string"}}',
        "load_report.json": '{"p95_ms": 9.0, "rate_per_s": 900}',
        **{f"reviews/2026-0{k}-01.md": "Decision: go on.\n" for k in (1, 2, 3)},
    }


@dataclass
class Project:
    """A project folder and the way to write traces into it."""

    folder: Path
    commits: list[str] = field(default_factory=list)

    def git(self, *words: str, who: str = "Ada") -> str:
        """Ask git, as one of the people."""
        names = {f"GIT_{k}_NAME": who for k in ("AUTHOR", "COMMITTER")}
        mails = {f"GIT_{k}_EMAIL": f"{who.lower()}@example.org" for k in ("AUTHOR", "COMMITTER")}
        environ = {**os.environ, **names, **mails, "GIT_CONFIG_GLOBAL": os.devnull}
        command = ["git", "-C", str(self.folder), *words]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def write_code(self) -> None:
        """Three commits by three people, each reviewed, with hooks switched on."""
        self.git("init", "-q")
        for name, text in files().items():
            self.write(name, text)
        (self.folder / ".githooks/pre-commit").chmod(0o755)
        self.git("config", "core.hooksPath", ".githooks")
        for k, who in enumerate(PEOPLE):
            for name in (".github/workflows/ci.yml", "settings.ini"):
                self.write(name, (self.folder / name).read_text() + f"# change {k}\n")
            for name in (NOTEBOOK, "data_schema.json"):
                self.write(name, (self.folder / name).read_text() + "\n" * (k + 1))
            self.git("add", ".")
            message = f"Step {k}\n\nReviewed-by: {PEOPLE[k - 1]} <x@example.org>"
            self.git("commit", "-qm", message, who=who)
            self.commits.append(self.git("rev-parse", "HEAD"))

    def write_reports(self) -> None:
        """A green report of CI for each commit."""
        for commit in self.commits:
            self.write(f"reports/junit-{commit[:8]}.xml", report(commit))

    def lab(self, section: str = "dev") -> Workspace:
        """The workspace of a section."""
        name = ".lab" if section == "dev" else f".lab-{section}"
        return Workspace(self.folder / name).create()


def report(commit: str, *, actor: str = "ci", failed: bool = False) -> str:
    """A JUnit report."""
    fault = "<failure/>" if failed else ""
    codes = "".join(f'<property name="mltest" value="{code}"/>' for code in ("I2", "I3", "D7"))
    return (
        f'<testsuite timestamp="{utc_now()}"><properties><property name="commit" value="{commit}"/>'
        f'<property name="actor" value="{actor}"/></properties><testcase classname="tests" '
        f'name="test_all"><properties>{codes}</properties>{fault}</testcase></testsuite>'
    )


def keep_object(lab: Workspace, data: bytes) -> str:
    """Put bytes into the store; give their digest."""
    digest = digest_bytes(data)
    word = digest.removeprefix("sha256:")
    place = lab.store / "objects" / word[:2] / word[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return digest


def write_bundle(folder: Path, name: str) -> Path:
    """A bundle folder, different for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "card.json", {"name": name})
    return folder


@dataclass
class Run:
    """Writes one run into a workspace, stage by stage."""

    project: Project
    section: str
    name: str
    pipeline: str
    commit: str
    trigger: dict

    def __post_init__(self) -> None:
        self.lab = self.project.lab(self.section)
        self.ledger = ChainLog(self.lab.ledger)
        self.folder = self.lab.run(self.name)
        facts = {"run": self.name, "pipeline": self.pipeline, "commit": self.commit}
        self.ledger.append(
            "run-started", {**facts, "section": self.section, "trigger": self.trigger}
        )
        write_json(self.folder / "run.json", {**facts, "stages": ["ingest", "train"]})

    def stage(self, name: str, *, state: str = "done", **given) -> None:
        """Record, executed notebook, result and ledger line of one stage."""
        facts = {"headline": f"{name} is done", "parameters": {}, "inputs": {}, "outputs": {}}
        facts |= {"metrics": {}, "tables": {}, "figures": [], "verdict": None, "facts": {}}
        facts |= {"timings": {}, "started_at": utc_now(), "seconds": 0.1}
        path, key = (
            self.folder / "records" / f"{name}.json",
            digest_bytes(f"{name}{self.name}".encode()),
        )
        noted = {"run": self.name, "stage": name, "state": state, "seconds": 0.1, "key": key}
        if state == "done":
            write_record(path, StageRecord(stage=name, **(facts | given)))
            noted["record"] = read_record(path).digest
            papermill = {"end_time": utc_now(), "exception": None}
            ran = {"cells": [], "metadata": {"papermill": papermill}}
            write_json(self.folder / "notebooks" / f"{name}.ipynb", ran)
            result = self.lab.store / "results" / f"{key.removeprefix('sha256:')}.json"
            write_json(result, {"key": key, "parts": {"packages": {"numpy": "2.1.0"}}})
        self.ledger.append("stage", noted)

    def end(self, state: str = "done") -> None:
        """Close the run."""
        self.ledger.append("run-finished", {"run": self.name, "state": state, "seconds": 2.0})


def learn(run: Run) -> None:
    """Ingest, validate, explore, train two candidates and evaluate them."""
    raw = run.project.write(
        f"{run.folder.relative_to(run.project.folder)}/data/raw.csv", "text,label\nhi,joy\n"
    )
    run.stage("ingest", outputs={"data/raw.csv": digest_folder(raw)})
    rules = [{"name": f"rule {k}", "failing": 0} for k in range(4)]
    write_json(run.folder / "data/validation.json", {"passed": True, "rules": rules})
    run.stage("validate", verdict={"passed": True, "reasons": []})
    run.stage("explore")
    data = keep_object(run.lab, TRAIN_DATA)
    for candidate in ("bag", "logistic"):
        run.stage(f"train_{candidate}", inputs={"data/train.csv": data})
    groups = {"columns": ["slice", "group"], "rows": [["language", "en"], ["language", "es"]]}
    rows = {"columns": ["candidate"], "rows": [["bag"], ["logistic"]]}
    run.stage("evaluate", tables={"Candidates": rows, "Groups": groups})


def track(run: Run, number: int) -> None:
    """Two trainings in MLflow, as the training stage writes them."""
    for candidate in ("bag", "logistic"):
        bundle = write_bundle(run.folder / "models" / candidate, f"{candidate} {run.name}")
        lineage = {"stage": f"train_{candidate}", "run_id": run.name, "notebook": NOTEBOOK}
        lineage |= {"bundle_digest": digest_folder(bundle), "data.train": digest_bytes(TRAIN_DATA)}
        training = TrainingRun(candidate, bundle, {"epochs": number}, {"dev_f1": 0.7}, [], lineage)
        track_candidate(run.lab, training, project=run.project.folder)


def reasons(first: bool) -> list[dict]:
    """What the gate found."""
    gain = "there is no champion to beat" if first else "a gain of +0.020, above 0 in 99% of draws"
    told = {"macro-F1": "0.748", "better than the champion": gain, "latency": "at most 0.5 ms"}
    told |= {"no group worse": "4 groups, worst: language es -0.001", "loads alone": "loads alone"}
    return [{"rule": r, "passed": True, "found": f, "required": ""} for r, f in told.items()]


SMOKE = ("ready", "version", "golden texts", "inference protocol", "stored record", "blank text")


def release(run: Run, bundle: str, *, try_first: bool) -> int:
    """Gate, register, try on a part of the traffic, promote and deploy; give the version."""
    run.stage("gate", verdict={"passed": True, "reasons": []})
    registry = Registry(run.lab, mirrored=False)
    folder = write_bundle(run.folder / "models" / "best", bundle)
    version = registry.register(folder, run_id=run.name, metrics={"accuracy": 0.75})
    if try_first:
        write_scores(run.lab, str(version.number), variant="canary", caller="shop")
    evidence = {"run_id": run.name, "reasons": reasons(first=version.number == 1)}
    told = {"by": "pipeline", "role": "automatic gate", "reason": "passed every rule of the gate"}
    registry.promote(version, **told, evidence=evidence)
    rows = [[name, True, ""] for name in SMOKE]
    table = {"columns": ["name", "passed", "detail"], "rows": rows}
    run.stage("deploy", verdict={"passed": True, "reasons": []}, tables={"Smoke test": table})
    return version.number


def write_scores(lab: Workspace, version: str, *, variant: str, caller: str, day: str = "") -> None:
    """Two scores and their true labels."""
    engine = open_engine(lab.score_store)
    at = f"{day}T10:00:00.000000+00:00" if day else utc_now()
    facts = {"at": at, "caller": caller, "text": "so good", "model": "shop", "version": version}
    facts |= {"variant": variant, "label": "joy", "probabilities": "{}", "latency_ms": 1.0}
    facts |= {"chars": 7, "words": 2, "oov_rate": 0.0}
    records = [ScoreRecord(score_id=new_score_id(), **facts) for _ in range(2)]
    said = [feedback_row(one.score_id, "joy", source="audit") for one in records]
    said = [(table, (score, label, at, who)) for table, (score, label, _, who) in said]
    write_rows(engine, [*map(score_row, records), *said])
    engine.dispose()


WATCHED = ("age_days", "nan_share", "latency_p99_ms", "skew")


def watch(run: Run, version: int) -> None:
    """Score by the service, and monitor what came."""
    for day in ("2026-05-01", "2026-05-02", "2026-05-03"):
        write_scores(run.lab, str(version), variant="champion", caller="shop", day=day)
    run.stage("score")
    metrics = {name: 0.1 for name in WATCHED} | {"late_accuracy": 0.76}
    run.stage("monitor", metrics=metrics, facts={"version": str(version)})


ALERT = {"metric": "accuracy", "window": "last day", "threshold": 0.7}


def write_runs(project: Project) -> None:
    """Scheduled runs, one that bad data stopped, and retraining after alerts."""
    lab = project.lab()
    alerts = ChainLog(lab.root / "alerts.jsonl")
    for k, kind in enumerate(["performance", "performance", "performance", "dependency"]):
        alerts.append("alert", {"id": f"a{k}", "kind": kind, **ALERT})
    for k in range(6):
        pipeline, commit = PIPELINES[k % 3], project.commits[k % 3]
        kind = {"kind": "schedule"} if k < 3 else {"kind": "drift", "alert": f"a{k - 3}"}
        run = Run(project, "dev", f"dev-{k}", pipeline, commit, {**kind, "by": "scheduler"})
        learn(run)
        if k < 4:  # as many settings as a search needs
            track(run, k)
        version = release(run, f"bundle {k}", try_first=True)
        watch(run, version)
        run.end()
    stopped = Run(project, "dev", "bad", "shop", project.commits[0], {"kind": "schedule"})
    stopped.stage("ingest")
    stopped.stage("validate", state="failed")
    stopped.end("failed")
    registry = Registry(lab, mirrored=False)
    told = {"role": "automatic guard", "reason": "errors"}
    for _ in range(3):
        registry.rollback(by="pipeline", **told)
    ledger = ChainLog(lab.ledger)
    for k in range(3):
        ledger.append("reproduced", {"run": f"dev-{k}", "reproduced": True, "seconds": 2.0})


def write_production(project: Project) -> None:
    """The same models, registered again where they serve."""
    for k in range(3):
        facts = (f"prod-{k}", PIPELINES[k], project.commits[k], {"kind": "schedule", "by": "timer"})
        run = Run(project, "prod", *facts)
        learn(run)
        watch(run, release(run, f"bundle {k}", try_first=True))
        run.end()


def build(folder: Path) -> Project:
    """The whole project."""
    project = Project(folder)
    folder.mkdir(parents=True)
    project.write_code()
    project.write_reports()
    write_runs(project)
    write_production(project)
    return project


def copy_of(project: Project, folder: Path) -> Project:
    """The same project elsewhere, to be damaged."""
    shutil.copytree(project.folder, folder, symlinks=True)
    return Project(folder, list(project.commits))
