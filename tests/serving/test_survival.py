"""A killed service loses no acknowledged score and needs no repair."""

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from mlops_lab.foundation.settings import Settings
from mlops_lab.serving import launcher
from mlops_lab.serving.client import ServiceClient
from mlops_lab.serving.score_store import ScoreStore

PROGRAM = str(Path(__file__).parent / "keyword_service.py")
KILLS = int(os.environ.get("KILLS", "5"))  # the acceptance run took 50


def start(settings, bundle, log):
    command = [sys.executable, PROGRAM, "--port", "0", "--bundle", str(bundle)]
    child = subprocess.Popen(
        command, env=launcher._child_environment(settings), cwd=settings.project, stderr=log
    )
    return child, launcher._wait_until_ready(child, log.fileno(), 20.0, "")


def ask_until_it_dies(address, acknowledged):
    client = ServiceClient(address)
    try:
        while True:
            told = client.score(["good", "bad", "so so"])
            acknowledged += [score["score_id"] for score in told["scores"]]
    except Exception:  # it was killed; what matters is what had been answered
        client.close()


def kill_under_load(folder, kills, seed=1):
    """Kill a service at random points; give the acknowledged ids and the store it left."""
    chance, acknowledged = random.Random(seed), []
    settings = Settings(project=folder, workspace=folder / ".lab")
    bundle = folder / "bundle"
    bundle.mkdir()
    (bundle / "name.txt").write_text("keywords")
    (bundle / "manifest.json").write_text("{}")
    for number in range(kills):
        with open(folder / f"log-{number}", "w+b") as log:
            child, client = start(settings, bundle, log)
            client.close()
            threads = [
                threading.Thread(target=ask_until_it_dies, args=(client.address, acknowledged))
                for _ in range(8)
            ]
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.01, 0.4))
            child.kill()
            child.wait()
            for thread in threads:
                thread.join()
    return acknowledged, folder / ".lab" / "scores.db"


def test_every_acknowledged_score_is_stored_once(tmp_path):
    acknowledged, path = kill_under_load(tmp_path, KILLS)
    assert len(acknowledged) == len(set(acknowledged)) > 20 * KILLS
    store = ScoreStore(path)
    try:
        stored = store.frame(limit=10**7)["score_id"]
        assert stored.is_unique and set(acknowledged) <= set(stored)
    finally:
        store.close()
