from html.parser import HTMLParser
from pathlib import Path

import pytest

from mlops_lab.command_line.landing import Home, HomeRow, Link, show_home
from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.settings import Settings

PROJECT = Path(__file__).parents[2]


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.said, self.open = {}, "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "a":
            self.links[dict(attrs)["href"]] = ""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.said += data + " "


@pytest.fixture
def settings(tmp_path):
    return Settings(project=tmp_path, workspace=tmp_path / ".lab")


def run_once(settings, name, state, *stages):
    log = ChainLog(settings.workspace / "ledger.jsonl")
    log.append("run-started", {"run": name, "pipeline": "case_study", "process": 2**30})
    for stage, ended in stages:
        log.append("stage", {"run": name, "stage": stage, "state": ended})
    if state != "interrupted":
        log.append("run-finished", {"run": name, "state": state, "seconds": 12.34})
    folder = settings.workspace / "runs" / name / "notebooks"
    folder.mkdir(parents=True)
    (folder / "ingest.ipynb").write_text("{}")
    (folder.parent / "report.html").write_text("<p>")


def test_an_empty_lab_is_a_beginning(settings):
    home = show_home(settings)
    assert "Nothing has run here yet." in repr(home)
    assert home.commands[0][0] == "make run"
    assert not settings.workspace.exists(), "showing a lab must not make one"


def test_the_page_and_the_text_say_the_same(settings):
    run_once(settings, "a", "done", ("ingest", "done"))
    home = show_home(settings)
    said = set(Page(home._repr_html_()).said.split())
    assert {word for word in repr(home).split()} <= said


def test_runs_are_shown_newest_first_and_at_most_three(settings):
    for name in "abcd":
        run_once(settings, name, "done", ("ingest", "done"), ("train", "cached"))
    rows = show_home(settings).sections[0][1]
    assert [row.links[0].path.parent.name for row in rows] == ["d", "c", "b"]
    assert "12.3 s: 1 of 2 stages executed, 1 taken from the store" in rows[0].text


@pytest.mark.parametrize(
    ("state", "sign", "word", "command"),
    [
        ("done", "✔", "Done", "mlops-lab serve"),
        ("cached", "✔", "Nothing to do", "mlops-lab serve"),
        ("failed", "✘", "Failed", "mlops-lab status"),
        ("interrupted", "■", "Interrupted", "mlops-lab status"),
        ("cancelled", "•", "Cancelled", "mlops-lab status"),
        ("refused", "✘", "Refused by the gate", "mlops-lab status"),
    ],
)
def test_each_state_has_sign_word_and_next_command(settings, state, sign, word, command):
    run_once(settings, "a", state)
    home = show_home(settings)
    row = home.sections[0][1][0]
    assert (row.sign, row.text.split(",")[0]) == (sign, word)
    assert home.commands[0][0] == command


def test_links_lead_from_the_notebook_to_the_files(settings, monkeypatch):
    run_once(settings, "a", "done")
    own = "work"  # the student's folder in the project
    (settings.project / own).mkdir()
    (settings.project / own / "lab0.es.ipynb").write_text("{}")
    apps = settings.project / "notebooks" / "apps"
    apps.mkdir(parents=True)
    monkeypatch.chdir(apps)
    links = Page(show_home(settings)._repr_html_()).links
    assert set(links) == {
        "../../.lab/runs/a/report.html",
        "../../.lab/runs/a/notebooks/ingest.ipynb",
        f"../../{own}/lab0.es.ipynb",
    }
    assert all((apps / address).exists() for address in links)


def test_the_champion_is_the_last_promotion_or_rollback(settings):
    log = ChainLog(settings.workspace / "decisions.jsonl")
    log.append("register", {"number": 1})
    assert "No model has been promoted yet." in repr(show_home(settings))
    for kind, number in (("promote", 1), ("promote", 2), ("rollback", 1), ("refuse", 3)):
        log.append(kind, {"number": number, "by": "Ana", "reason": "<better>"})
    home = show_home(settings)
    assert "Version 1, promoted" in repr(home) and "by Ana: <better>" in repr(home)
    assert "&lt;better&gt;" in home._repr_html_()


def test_a_missing_report_is_no_link(settings):
    run_once(settings, "a", "done")
    (settings.workspace / "runs" / "a" / "report.html").unlink()
    page = show_home(settings)._repr_html_()
    assert "report.html" not in page and "Report" in page


def test_the_page_speaks_spanish(settings):
    from dataclasses import replace

    run_once(settings, "a", "done")
    home = show_home(replace(settings, language="es"))
    assert "Últimas ejecuciones" in repr(home) and "Terminada" in repr(home)
    assert "Latest" not in home._repr_html_()


@pytest.mark.parametrize("name", ["ledger.jsonl", "decisions.jsonl"])
@pytest.mark.parametrize("content", [b"", b"not a log\n", b'{"number": 1}\n', b"\xff\xfe\n"])
def test_a_damaged_log_does_not_hide_the_page(settings, name, content):
    settings.workspace.mkdir()
    (settings.workspace / name).write_bytes(content)
    assert "Your lessons" in repr(show_home(settings))


def test_a_ledger_that_cannot_be_read_is_told(settings):
    ChainLog(settings.workspace / "ledger.jsonl").append("run-started", {"no": "name"})
    home = show_home(settings)
    assert home.sections[0][1][0].sign == "✘" and "mlops-lab doctor" in repr(home)


def test_a_damaged_ledger_does_not_hide_the_champion(settings):
    champion = {"number": 3, "by": "Ada", "reason": "better", "role": "owner", "replaced": None}
    ChainLog(settings.workspace / "decisions.jsonl").append("promote", champion)
    run_once(settings, "a", "done", ("ingest", "done"))
    ledger = settings.workspace / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b'"ingest"', b'"INGEST"'))
    told = repr(show_home(settings))
    assert "line 2 of ledger.jsonl was changed" in told and "Ada" in told


def test_names_cannot_smuggle_in_a_script(tmp_path):
    target = tmp_path / 'x" onclick="y.html'
    target.write_text("")
    home = Home((("<script>", (HomeRow("✔", "<b>", (Link("<i>", target),)),)),), (), {"next": "n"})
    page = home._repr_html_()
    assert "<script>" not in page and "<b>" not in page and "<i>" not in page
    assert 'onclick="y' not in page


def test_the_landing_notebook_has_one_code_cell_and_links_to_what_exists():
    import json
    import re

    path = PROJECT / "notebooks" / "apps" / "home.ipynb"
    cells = json.loads(path.read_text())["cells"]
    assert [cell["cell_type"] for cell in cells].count("code") == 1
    text = "".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    links = set(re.findall(r"\]\(([^)]+)\)", text))
    assert len(links) == 6
    assert [link for link in links if not (path.parent / link).exists()] == []
