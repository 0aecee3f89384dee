"""A store in trouble: every caller hears why, and the service heals by itself."""

import asyncio
import shutil
import sqlite3
import subprocess

import pytest
from serving_examples import OneModel, ask, call

from mlops_lab.foundation.settings import Settings
from mlops_lab.serving.score_store import ScoreStore
from mlops_lab.serving.service import create_app


@pytest.fixture
def small_disk(tmp_path):
    """A disk of two megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this test may not mount a disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_503_with_its_reason_and_heals_without_a_restart(small_disk):
    ballast = small_disk / "ballast"
    store = ScoreStore(small_disk / "scores.db")
    app = create_app(Settings(), OneModel(), store)
    ids = [call(app, "POST", "/score", {"text": "good"}).json["score_id"]]
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    large = {"text": ["good " * 400] * 64}
    refused = [call(app, "POST", "/score", large) for _ in range(5)]
    assert {answer.status for answer in refused} == {503}
    assert all("full" in answer.json["error"] for answer in refused)
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert call(app, "GET", "/v2/health/live").status == 200
    ballast.unlink()
    answer = call(app, "POST", "/score", {"text": ["good", "bad"]})
    assert answer.status == 200
    ids += [score["score_id"] for score in answer.json["scores"]]
    assert sorted(store.frame()["score_id"]) == sorted(ids)  # nothing of the refused ones
    store.close()


def test_a_locked_database_under_load_is_told_to_all_and_heals(store, tmp_path):
    app = create_app(Settings(service_latency_ms=600), OneModel(), store)
    other = sqlite3.connect(tmp_path / "scores.db", isolation_level=None)

    async def under_load():
        ask_one = lambda: ask(app, "POST", "/score", {"text": "good"})  # noqa: E731
        before = [await ask_one() for _ in range(5)]
        other.execute("begin immediate")
        early = [asyncio.create_task(ask_one()) for _ in range(20)]
        await asyncio.sleep(0.5)
        late = await asyncio.gather(*(ask_one() for _ in range(20)))
        told = await asyncio.gather(*early)
        other.execute("rollback")
        return [*before, await ask_one()], told, late

    good, told, late = asyncio.run(under_load())
    other.close()
    assert {answer.status for answer in good} == {200}
    assert {answer.status for answer in told} == {503}
    assert all("locked" in answer.json["error"] for answer in told)
    assert {answer.status for answer in late} == {429}  # at once: the oldest waits too long
    stored = sorted(store.frame()["score_id"])
    assert stored == sorted(answer.json["score_id"] for answer in good)
