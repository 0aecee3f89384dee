"""What every browser test needs: headless Chromium, JupyterLab on a folder, and pictures."""

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

PROJECT = Path(__file__).parents[2]
PATIENCE_MS = 90_000


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; its event loop must not outlive the file, as others run loops too."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("needs Chromium on the path")
    with playwright.sync_playwright() as pw:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = pw.chromium.launch(executable_path=chromium, args=options)
        yield browser
        browser.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for(address: str, seconds: float = 60) -> None:
    """Wait until a server answers at all."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.3)
    raise TimeoutError(address)


@pytest.fixture(scope="module")
def jupyterlab(home):
    """The address of a JupyterLab on the folder `home` of a test file."""
    port = free_port()
    own = {"PYTHONPATH": str(PROJECT), "JUPYTER_CONFIG_DIR": str(home / ".jupyter")}
    words = ["--no-browser", f"--port={port}", "--IdentityProvider.token=t", "--allow-root"]
    words += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={home}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "jupyterlab", *words]
    env = {**os.environ, **own}
    server = subprocess.Popen(command, cwd=home, env=env, start_new_session=True, **quiet)
    try:
        wait_for(f"http://127.0.0.1:{port}/api?token=t")
        yield f"http://127.0.0.1:{port}/lab/tree/{{}}?token=t&reset"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=20)


@pytest.fixture(scope="module")
def run_notebook(browser, jupyterlab):
    """Opens a notebook of `home` in JupyterLab and runs all its cells."""

    def run(name: str, *, width: int = 1300):
        page = browser.new_page(viewport={"width": width, "height": 1100})
        page.goto(jupyterlab.format(name))
        page.wait_for_selector(".jp-Notebook", timeout=PATIENCE_MS)
        page.get_by_text("| Idle").first.wait_for(timeout=PATIENCE_MS)
        page.wait_for_timeout(4_000)  # until the widget manager listens, which nothing shows
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).first.click()
        return page

    return run


@pytest.fixture(scope="session")
def shoot():
    """Keeps a picture of a page, if LAB_SCREENSHOTS names a folder to look into."""

    def keep(page, name: str, *, whole: bool = False) -> None:
        shots = os.environ.get("LAB_SCREENSHOTS")
        if shots:
            page.screenshot(path=f"{shots}/{name}.png", full_page=whole)

    return keep
