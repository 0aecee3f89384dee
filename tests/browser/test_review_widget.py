"""The review of cleaning rules as a person meets it: in JupyterLab, in headless Chromium."""

import json
import os
import shutil
from pathlib import Path

import pytest

from mlops_lab.data.cleaning_decisions import read_decisions

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PROJECT = Path(__file__).parents[2]
NOTEBOOK = PROJECT / "notebooks/apps/cleaning.ipynb"
PATIENCE_MS = 90_000


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A project of its own with the notebook in it."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(NOTEBOOK, home / "cleaning.ipynb")
    (home / "settings.ini").write_text("[DEFAULT]\nrows = 500\n[dev]\n")
    return home


def test_decide_with_mouse_and_keyboard_and_find_it_in_the_file(run_notebook, home, shoot):
    page = run_notebook("cleaning.ipynb")
    page.get_by_role("heading", name="Emoji go").wait_for(timeout=PATIENCE_MS)
    shoot(page, "review")
    emoji = page.locator(".jupyter-widgets.widget-vbox").filter(
        has=page.get_by_role("heading", name="Emoji go")
    )
    box = emoji.last
    box.get_by_role("button", name="accept").click()
    box.get_by_text("Write your name first").wait_for(timeout=PATIENCE_MS)
    assert not (home / "cleaning.yaml").exists(), "a decision needs a person"

    name = page.get_by_label("Your name", exact=True)
    name.fill("Ana")
    name.press("Tab")
    reason = box.get_by_label("Reason", exact=True)
    reason.fill("ours are random")
    reason.press("Tab")
    accept = box.get_by_role("button", name="accept")
    accept.focus()
    page.keyboard.press("Space")
    box.get_by_text("accepted by Ana").wait_for(timeout=PATIENCE_MS)
    shoot(page, "review_decided")
    kept = read_decisions(home / "cleaning.yaml")["emoji"]
    assert (kept.accepted, kept.by, kept.why) == (True, "Ana", "ours are random")

    page.get_by_role("button", name="Español", exact=True).click()
    page.get_by_role("heading", name="Se quitan los emojis").wait_for(timeout=PATIENCE_MS)
    page.get_by_text("aceptada por Ana").wait_for(timeout=PATIENCE_MS)
    shoot(page, "review_es")
    page.close()


def test_where_nobody_can_click_the_review_is_a_page(home):
    papermill = pytest.importorskip("papermill")
    out = home / "page.ipynb"
    words = {"source": "world", "rows": 300, "as_page": True}
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(PROJECT)
    try:
        papermill.execute_notebook(
            str(home / "cleaning.ipynb"), str(out), words, cwd=str(home), progress_bar=False
        )
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    cells = json.loads(out.read_text())["cells"]
    pages = [one["data"].get("text/html", "") for cell in cells for one in cell.get("outputs", [])]
    assert sum("".join(page).count("<h3>") for page in pages) == 12
