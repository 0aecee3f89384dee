"""Deliberate damages to a project: each takes away one kind of proof."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from full_project import NOTEBOOK, Project, report

from mlops_lab.foundation.chain import Entry
from mlops_lab.foundation.records import digest_json, write_json

LATER = "2099-01-01T00:00:00.000000+00:00"


def rechain(path: Path, edit: Callable[[Entry], dict | None]) -> None:
    """Forge a whole log: edit every line's kind, time or data and chain them anew."""
    last, lines = None, []
    for text in path.read_text().splitlines():
        old = Entry(**json.loads(text))
        changes = edit(old)
        if changes is None:
            continue
        body = {"number": len(lines) + 1, "at": old.at, "kind": old.kind, "data": old.data}
        body |= changes
        body["previous"] = last.digest if last else ""
        last = Entry(**body, digest=digest_json(body))
        lines.append(last.as_line())
    path.write_bytes(b"".join(lines))
    head = {"number": len(lines), "digest": last.digest if last else ""}
    write_json(path.with_name(path.name + ".head"), head)


def each_log(name: str, edit: Callable[[Entry], dict | None]) -> Callable[[Project], None]:
    """Forge a log in every workspace."""

    def damage(project: Project) -> None:
        for lab in (".lab", ".lab-prod"):
            if (project.folder / lab / name).exists():
                rechain(project.folder / lab / name, edit)

    return damage


def edit_log(name: str, old: str, new: str) -> Callable[[Project], None]:
    """Edit a log as text, without chaining it anew."""

    def damage(project: Project) -> None:
        for lab in (".lab", ".lab-prod"):
            path = project.folder / lab / name
            if path.exists():
                path.write_text(path.read_text().replace(old, new, 1))

    return damage


def replace(name: str, old: str, new: str) -> Callable[[Project], None]:
    """Edit a file."""

    def damage(project: Project) -> None:
        path = project.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return damage


def remove(*names: str) -> Callable[[Project], None]:
    """Delete files or folders, for git as well."""

    def damage(project: Project) -> None:
        for name in names:
            path = project.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            if not name.startswith((".lab", "reports", ".git/")):
                project.git("rm", "-rq", "--cached", name)

    return damage


def edit_json(pattern: str, edit: Callable[[dict], None]) -> Callable[[Project], None]:
    """Change the first JSON file that fits."""

    def damage(project: Project) -> None:
        path = sorted(project.folder.glob(pattern))[0]
        value = json.loads(path.read_text())
        edit(value)
        path.write_text(json.dumps(value))

    return damage


def sql(name: str, *statements: str) -> Callable[[Project], None]:
    """Change the databases of every workspace."""

    def damage(project: Project) -> None:
        for lab in (".lab", ".lab-prod"):
            path = project.folder / lab / name
            if path.exists():
                with closing(sqlite3.connect(path)) as connection:
                    for statement in statements:
                        connection.execute(statement)
                    connection.commit()

    return damage


def new_repository(project: Project) -> None:
    """Throw the history away."""
    shutil.rmtree(project.folder / ".git")
    project.git("init", "-q")


def add_secret(project: Project) -> None:
    """Commit a key and take it back: it stays in the history."""
    project.write("notes.txt", "AKIA" + "Q" * 16 + "\n")
    project.git("add", "notes.txt")
    project.git("commit", "-qnm", "Notes\n\nReviewed-by: Ben <b@example.org>")
    project.git("rm", "-q", "notes.txt")
    project.git("commit", "-qnm", "No notes\n\nReviewed-by: Ben <b@example.org>")


def red_report(project: Project) -> None:
    """The newest report has a failure."""
    text = report(project.commits[-1], failed=True).replace('timestamp="20', 'timestamp="30')
    project.write("reports/junit-new.xml", text)


def by_a_person(project: Project) -> None:
    """Reports that no machine made."""
    for commit in project.commits:
        project.write(f"reports/junit-{commit[:8]}.xml", report(commit, actor="Ada"))


def of_strangers(project: Project) -> None:
    """Reports for commits of some other project."""
    for path in (project.folder / "reports").iterdir():
        path.write_text(
            path.read_text().replace('name="commit" value="', 'name="commit" value="ff')
        )


def alone(project: Project) -> None:
    """Everything was committed by one person, and nobody reviewed."""
    shutil.rmtree(project.folder / ".git")
    project.git("init", "-q")
    project.git("config", "core.hooksPath", ".githooks")
    for k in range(3):
        project.write("settings.ini", (project.folder / "settings.ini").read_text() + f"# {k}\n")
        project.git("add", ".")
        project.git("commit", "-qnm", f"Step {k}")


def without(*kinds: str) -> Callable[[Entry], dict | None]:
    """Leave out lines of some kinds."""
    return lambda entry: None if entry.kind in kinds else {}


def with_data(kind: str, **changes) -> Callable[[Entry], dict | None]:
    """Change the data of lines of a kind."""
    return lambda entry: {"data": entry.data | changes} if entry.kind == kind else {}


def stage_at(name: str, at: str) -> Callable[[Entry], dict | None]:
    """Move the end of a stage in time."""
    return lambda e: {"at": at} if e.kind == "stage" and e.data["stage"] == name else {}


def wrong_alert(entry: Entry) -> dict:
    """Runs name alerts that never were."""
    trigger = entry.data.get("trigger", {})
    if entry.kind == "run-started" and trigger.get("kind") == "drift":
        return {"data": entry.data | {"trigger": trigger | {"alert": "a99"}}}
    return {}


def trained_anyway(entry: Entry) -> dict:
    """The run that bad data should have stopped, trained."""
    if entry.kind == "stage" and entry.data["run"] == "bad" and entry.data["stage"] == "ingest":
        return {"data": entry.data | {"stage": "train_bag"}, "at": LATER}
    return {}


def refused_rule(entry: Entry) -> dict:
    """Promotions although a rule failed."""
    if entry.kind != "promote":
        return {}
    evidence = json.loads(json.dumps(entry.data["evidence"]))
    evidence["reasons"][0]["passed"] = False
    return {"data": entry.data | {"evidence": evidence}}


def no_groups(entry: Entry) -> dict:
    """The gate compared no groups, and no champion."""
    if entry.kind != "promote":
        return {}
    kept = [r for r in entry.data["evidence"]["reasons"] if r["rule"] != "no group worse"]
    return {"data": entry.data | {"evidence": entry.data["evidence"] | {"reasons": kept}}}


def no_champion(entry: Entry) -> dict:
    """The gate never measured the champion."""
    if entry.kind != "promote":
        return {}
    reasons = [
        r | {"found": "not compared"} if r["rule"] == "better than the champion" else r
        for r in entry.data["evidence"]["reasons"]
    ]
    return {"data": entry.data | {"evidence": entry.data["evidence"] | {"reasons": reasons}}}


def not_loaded(entry: Entry) -> dict:
    """Nobody loaded the model before it was promoted."""
    if entry.kind != "promote":
        return {}
    kept = [r for r in entry.data["evidence"]["reasons"] if r["rule"] != "loads alone"]
    return {"data": entry.data | {"evidence": entry.data["evidence"] | {"reasons": kept}}}


def empty_block(value: dict) -> None:
    value["value"] = ""


def two_accountable(value: dict) -> None:
    value["tasks"]["train"]["DE"] = "A"


def nobody_in_role(value: dict) -> None:
    value["people"].pop("Ben")


def with_exception(value: dict) -> None:
    value["metadata"]["papermill"]["exception"] = True


def other_headline(value: dict) -> None:
    value["headline"] = "all is well"


# What each must lower, and nothing else, stands in damages.json beside this file.
DAMAGES = {
    "the history is thrown away": (new_repository),
    "one person did everything": (alone),
    "a pipeline file outside of git": (
        lambda p: p.write("notebooks/pipelines/shop/secret.ipynb", "{}")
    ),
    "a key in the history": (add_secret),
    "the hook is not executable": (lambda p: (p.folder / ".githooks/pre-commit").chmod(0o644)),
    "hooks are switched off": (lambda p: p.git("config", "--unset", "core.hooksPath")),
    "CI runs no tests": (replace(".github/workflows/ci.yml", "pytest", "echo")),
    "CI does not run on push": (replace(".github/workflows/ci.yml", "push: {}", "")),
    "CI has no clock": replace(".github/workflows/ci.yml", 'schedule: [{cron: "0 3 * * *"}]', ""),
    "the newest report failed": (red_report),
    "there is no report": (remove("reports")),
    "a person made the reports": (by_a_person),
    "reports of other commits": (of_strangers),
    "feature tests are gone": (remove("tests/test_features.py")),
    "training tests are gone": (remove("tests/test_training.py")),
    "service tests are gone": (remove("tests/test_service.py")),
    "pipeline tests are gone": (remove("tests/test_pipeline.py")),
    "versions are not pinned": (replace("constraints.txt", "==2.1.0", "")),
    "no container": (remove("Dockerfile")),
    "a canvas block is empty": (edit_json("canvas.json", empty_block)),
    "two are accountable": (edit_json("roles.json", two_accountable)),
    "a role without a person": (edit_json("roles.json", nobody_in_role)),
    "data without an owner": (replace("catalogue.json", '"owner": "Ada"', '"owner": ""')),
    "a column without a description": replace("catalogue.json", "what was written", ""),
    "no interface description": (remove("openapi.json")),
    "no load report": (remove("load_report.json")),
    "nobody ran the debug notebook": (
        replace("notebooks/debug_score.ipynb", "output_type", "kind")
    ),
    "no settings in git": (remove("settings.ini")),
    "no business review": (remove("reviews")),
    "nobody imports the package": (remove("notebooks/look.ipynb", "notebooks/report.ipynb")),
    "the ledger was edited": (edit_log("ledger.jsonl", '"state":"done"', '"state":"fine"')),
    "the ledger is gone": (remove(".lab/ledger.jsonl", ".lab-prod/ledger.jsonl")),
    "the decision log was edited": (edit_log("decisions.jsonl", "pipeline", "Eve")),
    "the alerts were edited": (edit_log("alerts.jsonl", "0.7", "0.1")),
    "every run was started by hand": (
        each_log("ledger.jsonl", with_data("run-started", trigger="manual"))
    ),
    "retraining names an alert that never was": (each_log("ledger.jsonl", wrong_alert)),
    "alerts came after the retraining": (each_log("alerts.jsonl", lambda entry: {"at": LATER})),
    "bad data was trained on": (each_log("ledger.jsonl", trained_anyway)),
    "bad data was never stopped": (
        each_log("ledger.jsonl", lambda e: None if e.data.get("run") == "bad" else {})
    ),
    "validation came after training": (each_log("ledger.jsonl", stage_at("validate", LATER))),
    "the gate came after the promotion": (each_log("ledger.jsonl", stage_at("gate", LATER))),
    "deployed before it was promoted": (
        each_log("ledger.jsonl", stage_at("deploy", "2000-01-01T00:00:00.000000+00:00"))
    ),
    "promoted although a rule failed": (each_log("decisions.jsonl", refused_rule)),
    "the champion was never measured": (each_log("decisions.jsonl", no_champion)),
    "groups were never compared": (each_log("decisions.jsonl", no_groups)),
    "models were never loaded alone": (each_log("decisions.jsonl", not_loaded)),
    "a person promotes": (each_log("decisions.jsonl", with_data("promote", by="Ada", role="lead"))),
    "promotions without a reason": (each_log("decisions.jsonl", with_data("promote", reason=""))),
    "nothing was ever rolled back": (each_log("decisions.jsonl", without("rollback"))),
    "a person rolls back": (
        each_log("decisions.jsonl", with_data("rollback", by="Ada", role="lead"))
    ),
    "nothing was registered": (each_log("decisions.jsonl", without("register"))),
    "a registered bundle was edited": (edit_json(".lab/models/*/card.json", other_headline)),
    "no reproduced run": (each_log("ledger.jsonl", without("reproduced"))),
    "a run was not reproduced": (
        each_log("ledger.jsonl", with_data("reproduced", reproduced=False))
    ),
    "an executed notebook failed": (
        edit_json(".lab/runs/dev-0/notebooks/gate.ipynb", with_exception)
    ),
    "a record was edited": (edit_json(".lab/runs/dev-0/records/score.json", other_headline)),
    "a run lost its description": (remove(".lab/runs/dev-0/run.json")),
    "a raw file was edited": (lambda p: p.write(".lab/runs/dev-0/data/raw.csv", "text,label\n")),
    "stored data is gone": (remove(".lab/store/objects")),
    "trainings failed": (sql("tracking.db", "update runs set status = 'FAILED'")),
    "a training names no data": (
        sql(
            "tracking.db",
            "delete from tags where key = 'mlops_lab.data.train' and run_uuid = "
            "(select min(run_uuid) from runs)",
        )
    ),
    "a training names another commit": (
        sql("tracking.db", f"update tags set value = '{'f' * 40}' where key like '%git.commit'")
    ),
    "the training notebook is gone": (remove(NOTEBOOK)),
    "a metric with an odd name": (sql("tracking.db", "update latest_metrics set key = 'F1 Score'")),
    "no baseline was trained": (sql("tracking.db", "delete from runs where name = 'logistic'")),
    "one setting was tried": (sql("tracking.db", "update params set value = '1'")),
    "a score without a version": (
        sql("scores.db", "update scores set version = '' where rowid = 1")
    ),
    "scores of an unknown version": (
        sql("scores.db", "update scores set version = '99' where rowid = 1")
    ),
    "no true label came back": (sql("scores.db", "delete from feedback")),
    "labels of scores that never were": (
        sql("scores.db", "update feedback set score_id = 'none' where number = 1")
    ),
    "only the project itself asks": (sql("scores.db", "update scores set caller = 'smoke test'")),
    "the trial came after the promotion": (
        sql("scores.db", f"update scores set at = '{LATER}' where variant = 'canary'")
    ),
    "nothing was tried first": (sql("scores.db", "delete from scores where variant = 'canary'")),
    "production never existed": (remove(".lab-prod")),
    "an alert without a threshold": (
        each_log(
            "alerts.jsonl",
            lambda e: {"data": {k: v for k, v in e.data.items() if k != "threshold"}},
        )
    ),
}
