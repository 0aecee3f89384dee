"""The assessment as a person meets it: in JupyterLab and as a web page, in headless Chromium."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PROJECT = Path(__file__).parents[2]
NOTEBOOK = PROJECT / "notebooks/apps/assessment.ipynb"
PATIENCE_MS = 90_000
MAIN = "from mlops_lab.command_line.program import main; main(prog_name='mlops-lab')"


def with_a_test(folder):
    """A repository whose only evidence is one test."""
    (folder / "tests").mkdir()
    (folder / "tests/test_model.py").write_text("def test_predict():\n    assert True\n")
    for words in (["init", "-q"], ["add", "tests"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A small project with the notebook in it, set to assess this project."""
    home = tmp_path_factory.mktemp("home")
    notebook = json.loads(NOTEBOOK.read_text())
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"]).replace('project = ""', f"project = {str(home)!r}")
    (home / "assessment.ipynb").write_text(json.dumps(notebook))
    return with_a_test(home)


@pytest.fixture(scope="module")
def web_home(tmp_path_factory):
    """A project of its own for the web page."""
    return with_a_test(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="module")
def web_page(web_home):
    """The address that `mlops-lab assess --web` tells, with its token."""
    pytest.importorskip("voila")
    words = [sys.executable, "-c", MAIN, "assess", "--web", "--project", str(web_home)]
    own = {**os.environ, "PYTHONPATH": str(PROJECT), "JUPYTER_CONFIG_DIR": str(web_home / ".j")}
    server = subprocess.Popen(words, cwd=web_home, env=own, stderr=subprocess.PIPE, text=True)
    try:
        yield server.stderr.readline().split()[0]
    finally:
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        server.terminate()
        server.wait(timeout=20)
        server.stderr.close()
    assert children and not any(Path(f"/proc/{child}").exists() for child in children)


@pytest.fixture(scope="module")
def open_widget(run_notebook):
    """Opens the notebook, runs it and waits for the radar."""

    def run(width=1300):
        page = run_notebook("assessment.ipynb", width=width)
        page.wait_for_selector(".ma svg", timeout=PATIENCE_MS)
        return page

    return run


def radar(page):
    return page.locator(".ma svg polygon.e").first.get_attribute("points")


def answer(page, criterion, label):
    """The button of one answer."""
    group = page.locator(".widget-toggle-buttons").filter(
        has_text=re.compile(rf"{criterion}(?!\d)")
    )
    return group.get_by_role("button", name=label, exact=True)


def test_answer_see_it_move_reload_and_find_it_again(open_widget, home, shoot):
    page = open_widget()
    page.get_by_role("button", name="Table", exact=True).click()
    page.get_by_label("Topic", exact=True).select_option(label="tests")
    answer(page, "TST-1", "3").wait_for(timeout=PATIENCE_MS)
    claimed = page.locator(".ma svg polygon.c").first
    before = claimed.get_attribute("points")
    answer(page, "TST-1", "3").click()
    page.wait_for_function(
        "points => document.querySelector('.ma svg polygon.c').getAttribute('points') !== points",
        arg=before,
        timeout=PATIENCE_MS,
    )
    shoot(page, "table")
    page.get_by_role("button", name="Español", exact=True).click()
    page.get_by_text("¿Tiene el código pruebas unitarias que pasan?").wait_for(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Una a una", exact=True).click()
    page.get_by_role("button", name="Siguiente", exact=True).wait_for(timeout=PATIENCE_MS)
    page.locator(".ma summary").first.click()
    shoot(page, "question_es")
    page.get_by_role("button", name="Exportar").click()
    page.get_by_text("assessment/answers.json").wait_for(timeout=PATIENCE_MS)
    page.close()

    draft = json.loads((home / ".lab/assessment_draft.json").read_text())
    assert draft["answers"]["TST-1"]["value"] == 3
    exported = (home / ".lab/assessment/assessment.html").read_text()
    assert "¿Tiene el código pruebas unitarias" in exported

    again = open_widget()
    again.get_by_role("button", name="Table", exact=True).click()
    again.get_by_label("Topic", exact=True).select_option(label="tests")
    kept = answer(again, "TST-1", "3")
    kept.wait_for(timeout=PATIENCE_MS)
    assert "mod-active" in kept.get_attribute("class")
    again.close()


def test_the_keyboard_is_enough(open_widget, home, shoot):
    page = open_widget(width=700)
    page.get_by_role("button", name="Next", exact=True).focus()
    page.keyboard.press("Space")
    page.get_by_text("PEO-2 · people").wait_for(timeout=PATIENCE_MS)
    answer(page, "PEO-2", "0: no").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    draft = home / ".lab/assessment_draft.json"
    end = time.monotonic() + 20
    while time.monotonic() < end:
        answers = json.loads(draft.read_text())["answers"] if draft.exists() else {}
        if answers.get("PEO-2", {}).get("value") == 1:
            break
        time.sleep(0.2)
    assert answers["PEO-2"]["value"] == 1
    shoot(page, "narrow")
    page.close()


def test_the_exported_page_stands_alone(browser, shoot, tmp_path):
    words = ["assess", "--project", str(tmp_path), "--report", str(tmp_path / "page.html")]
    code = "from mlops_lab.command_line.program import main; main()"
    own = {**os.environ, "PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "-c", code, *words], env=own, check=True, capture_output=True)
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "page.html").as_uri())
    assert page.get_by_role("heading", level=1).inner_text().startswith("How mature")
    assert page.get_by_role("img").first.get_attribute("aria-label").startswith("Radar: people")
    assert page.locator("tbody tr").count() >= 91
    assert len(asked) == 1, "nothing else is fetched"
    shoot(page, "page")
    page.close()


def open_web(browser, address, width=1300):
    """Open the web page, and wait until it is drawn."""
    page = browser.new_page(viewport={"width": width, "height": 1100})
    page.goto(address)
    page.wait_for_selector(".ma svg", timeout=PATIENCE_MS)
    return page


def until(condition, seconds=20):
    """Wait for something on disk."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


def answers_of(home):
    draft = home / ".lab/assessment_draft.json"
    return json.loads(draft.read_text())["answers"] if draft.exists() else {}


def test_the_web_page_answers_moves_reloads_exports_and_speaks_spanish(
    browser, shoot, web_page, web_home
):
    page = open_web(browser, web_page)
    assert page.locator(".jp-InputArea, .CodeMirror").count() == 0, "no code is shown"
    page.get_by_role("button", name="Table", exact=True).click()
    page.get_by_label("Topic", exact=True).select_option(label="tests")
    answer(page, "TST-1", "3").wait_for(timeout=PATIENCE_MS)
    claimed = page.locator(".ma svg polygon.c").first.get_attribute("points")
    answer(page, "TST-1", "3").click()
    page.wait_for_function(
        "old => document.querySelector('.ma svg polygon.c').getAttribute('points') !== old",
        arg=claimed,
        timeout=PATIENCE_MS,
    )
    page.get_by_label("Open evidence").first.select_option("tests/test_model.py::test_predict")
    page.get_by_text("def test_predict():").wait_for(timeout=PATIENCE_MS)
    answer(page, "TST-11", "3").scroll_into_view_if_needed()
    box = page.locator(".ma svg").first.bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= 1100, "the radar stays in sight"
    shoot(page, "web_table", whole=True)
    page.reload()
    page.wait_for_selector(".ma svg", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Table", exact=True).click()
    page.get_by_label("Topic", exact=True).select_option(label="tests")
    kept = answer(page, "TST-1", "3")
    kept.wait_for(timeout=PATIENCE_MS)
    assert "mod-active" in kept.get_attribute("class")
    page.get_by_role("button", name="Español", exact=True).click()
    page.get_by_text("¿Tiene el código pruebas unitarias que pasan?").wait_for(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Exportar").click()
    page.get_by_text("assessment/assessment.pdf").wait_for(timeout=PATIENCE_MS)
    shoot(page, "web_es", whole=True)
    page.close()
    files = {file.suffix for file in (web_home / ".lab/assessment").iterdir()}
    assert files == {".json", ".md", ".html", ".svg", ".pdf"}
    assert answers_of(web_home)["TST-1"]["value"] == 3


def test_without_its_token_the_web_page_is_closed(web_page):
    address = web_page.partition("?")[0]
    with urllib.request.urlopen(address, timeout=20) as told:
        text = told.read().decode()
    assert "login" in told.url and "TST-1" not in text and "PEO-1" not in text


def test_on_the_web_page_too_the_keyboard_is_enough(browser, shoot, web_page, web_home):
    page = open_web(browser, web_page, width=700)
    page.get_by_label("Topic", exact=True).focus()
    page.keyboard.press("ArrowDown")  # people, whose first question is in sight already
    page.keyboard.press("ArrowDown")  # documents, so that what is focused is not drawn again
    answer(page, "DOC-1", "0: no").focus(timeout=PATIENCE_MS)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert until(lambda: answers_of(web_home).get("DOC-1", {}).get("value") == 1)
    page.get_by_role("button", name="Next", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_text("DOC-2 · documents").wait_for(timeout=PATIENCE_MS)
    shoot(page, "web_narrow", whole=True)
    page.close()


def test_two_raters_answer_alone_and_reveal_together(browser, shoot, web_page, web_home):
    for person, value in (("Ada", "3"), ("Ben", "0")):
        page = open_web(browser, web_page)
        empty = page.get_by_role("button", name="Empty sheet for the next person")
        if person == "Ben":
            empty.click()
            assert until(lambda: "PIP-1" not in answers_of(web_home))
        name = page.get_by_label("Your name")
        assert until(lambda field=name: field.input_value() == "")  # or the name would go too
        name.fill(person)
        page.get_by_label("Your name").press("Enter")
        page.get_by_role("button", name="Table", exact=True).click()
        page.get_by_label("Topic", exact=True).select_option(label="pipelines")
        answer(page, "PIP-1", value).wait_for(timeout=PATIENCE_MS)
        answer(page, "PIP-1", value).click()
        assert until(
            lambda want=int(value): answers_of(web_home).get("PIP-1", {}).get("value") == want
        )
        page.get_by_role("button", name="Hand in my answers").click()
        page.get_by_text(f"{person} handed in").wait_for(timeout=PATIENCE_MS)
        if person == "Ada":
            page.close()
    page.get_by_role("button", name="Reveal together").click()
    page.get_by_role("button", name="Yes, reveal now").click()
    page.get_by_role("columnheader", name="median", exact=True).wait_for(timeout=PATIENCE_MS)
    row = page.get_by_role("row").filter(has_text="PIP-1")
    assert [cell.inner_text() for cell in row.get_by_role("cell").all()][:5] == [
        *("3", "0", "1.5", "3", "1.50"),
    ]
    shoot(page, "web_raters", whole=True)
    group = page.locator(".widget-toggle-buttons").filter(has_text=re.compile(r"^PIP-1(?!\d)"))
    group.last.get_by_role("button", name="2", exact=True).click()
    page.get_by_role("button", name="Record what we agree on").click()
    page.get_by_text("Recorded:").wait_for(timeout=PATIENCE_MS)
    shoot(page, "web_agreed", whole=True)
    page.close()
    lines = (web_home / ".lab/assessments.jsonl").read_text().splitlines()
    agreed = json.loads(lines[-1])
    assert agreed["kind"] == "agreed" and agreed["data"]["sheet"]["person"] == "Ada, Ben"
    assert agreed["data"]["sheet"]["answers"]["PIP-1"]["value"] == 2


def test_the_page_prints_whole(browser, shoot, tmp_path):
    words = ["assess", "--project", str(tmp_path), "--report", str(tmp_path / "page.html")]
    own = {**os.environ, "PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "-c", MAIN, *words], env=own, check=True, capture_output=True)
    page = browser.new_page(viewport={"width": 794, "height": 1123})  # A4 at 96 dots per inch
    page.emulate_media(media="print")
    page.goto((tmp_path / "page.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 794, "nothing is cut off"
    paper = page.pdf(format="A4")
    assert paper.startswith(b"%PDF") and paper.count(b"/Type /Page\n") > 4
    shots = os.environ.get("LAB_SCREENSHOTS")
    if shots:
        page.screenshot(path=f"{shots}/print.png")
        (Path(shots) / "print.pdf").write_bytes(paper)
    page.close()
