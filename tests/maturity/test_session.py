"""A sitting that is interrupted loses nothing; a notebook without a person shows a table."""

import json
import shutil

import pytest

from mlops_lab.maturity.answers import Answer, Sheet, read_sheet
from mlops_lab.maturity.assessment_widget import AssessmentWidget
from mlops_lab.maturity.bank import read_bank
from mlops_lab.maturity.disagreement import spread_answers, talking_points
from mlops_lab.maturity.evidence import gather_evidence
from mlops_lab.maturity.session import Session, export_session, take_over

BANK = read_bank()


@pytest.fixture
def session(tmp_path):
    return Session(BANK, gather_evidence(tmp_path, BANK), draft=tmp_path / ".lab/draft.json")


def test_every_answer_is_on_disk_at_once(session):
    for k, name in enumerate(BANK.criteria):
        session.respond(name, k % 4)
        assert read_sheet(session.draft, BANK).answers[name].value == k % 4


def test_a_refused_answer_leaves_the_draft_as_it_was(session):
    session.respond("PIP-1", 2)
    before = session.draft.read_bytes()
    with pytest.raises(Exception, match="is not known"):
        session.respond("PIP-1", 7)
    assert session.draft.read_bytes() == before


def test_export_and_import_say_the_same(session, tmp_path):
    session.respond("PIP-1", 3)
    session.respond("DEP-4", "na", note="nothing is served online")
    files = export_session(session, tmp_path / "out")
    for file in files[:2]:
        other = Session(BANK, session.evidence, draft=tmp_path / f"{file.stem}-draft.json")
        assert take_over(other, file.read_text()) == 2
        assert other.report().found == session.report().found


def test_two_hundred_raters_talk_about_five_criteria():
    sheets = []
    for person in range(200):
        answers = {name: Answer((person * 7 + k) % 4) for k, name in enumerate(BANK.criteria)}
        role = ("DS", "DE", "SE")[person % 3]
        sheets.append(Sheet(BANK.version, answers, f"rater {person}", role))
    spreads = spread_answers(BANK, sheets)
    assert len(spreads) == 91 and len(talking_points(spreads)) == 5
    assert all(one.range == 3 and one.deviation == 1.0 for one in spreads.values())


@pytest.mark.slow
def test_under_papermill_the_widget_is_a_table(project, tmp_path):
    papermill = pytest.importorskip("papermill")
    home = tmp_path / "home"
    home.mkdir()
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"answers": {"PIP-1": 2}, "person": "Ada"}))
    shutil.copy(project / "notebooks/apps/assessment.ipynb", tmp_path)
    given = {"project": str(home), "answers": str(answers)}
    done = papermill.execute_notebook(
        tmp_path / "assessment.ipynb",
        tmp_path / "out.ipynb",
        parameters=given,
        kernel_name="python3",
        progress_bar=False,
        log_output=False,
        cwd=project,
    )
    shown = json.dumps([cell.get("outputs", []) for cell in done.cells])
    assert "PIP-1" in shown and "overclaim" in shown and "widget-view" not in shown


def every_widget(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from every_widget(child)


def test_every_editor_that_knows_ipywidgets_can_draw_it(session):
    """No JavaScript of our own: JupyterLab, VS Code and Voila bring all that is needed."""
    for language in ("en", "es"):
        session.language = language
        widget = AssessmentWidget(session)
        for view in widget.view.options:
            widget.view.value = view[1] if isinstance(view, tuple) else view
            used = {(one._model_module, one._view_module) for one in every_widget(widget)}
            core = ("@jupyter-widgets/controls", "@jupyter-widgets/controls")
            assert used <= {core, ("@jupyter-widgets/output", "@jupyter-widgets/output")}
            assert len(list(every_widget(widget))) > 20
        widget.close()
