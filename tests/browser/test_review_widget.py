"""The review of cleaning rules as a person meets it: in JupyterLab, in headless Chromium."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from mlops_lab.data.cleaning_decisions import read_decisions

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PROJECT = Path(__file__).parents[2]
NOTEBOOK = PROJECT / "notebooks/apps/cleaning.ipynb"
PATIENCE_MS = 90_000


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A project of its own with the notebook in it."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(NOTEBOOK, home / "cleaning.ipynb")
    (home / "settings.ini").write_text("[DEFAULT]\nrows = 500\n[dev]\n")
    return home


@pytest.fixture(scope="module")
def jupyterlab(home):
    """The address of a JupyterLab on that project."""
    port = free_port()
    own = {"PYTHONPATH": str(PROJECT), "JUPYTER_CONFIG_DIR": str(home / ".jupyter")}
    words = ["--no-browser", f"--port={port}", "--IdentityProvider.token=t", "--allow-root"]
    words += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={home}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "jupyterlab", *words]
    env = {**os.environ, **own}
    server = subprocess.Popen(command, cwd=home, env=env, start_new_session=True, **quiet)
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token=t", timeout=2).close()
                break
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/lab/tree/cleaning.ipynb?token=t&reset"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=20)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as pw:
        browser = pw.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def shoot(page, name):
    shots = os.environ.get("LAB_SCREENSHOTS")
    if shots:
        page.screenshot(path=f"{shots}/{name}.png")


def test_decide_with_mouse_and_keyboard_and_find_it_in_the_file(browser, jupyterlab, home):
    page = browser.new_page(viewport={"width": 1300, "height": 1100})
    page.goto(jupyterlab)
    page.wait_for_selector(".jp-Notebook", timeout=PATIENCE_MS)
    page.get_by_text("| Idle").first.wait_for(timeout=PATIENCE_MS)
    page.wait_for_timeout(4_000)  # until the widget manager listens, which nothing shows
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).first.click()
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
