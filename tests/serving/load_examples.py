"""Callers that ask a service without a pause, and a service that is killed under their load."""

import random
import threading
import time

from canary_examples import started

from mlops_lab.serving.client import ServiceClient


def send_until(stopped, address, told):
    client = ServiceClient(address)
    while not stopped.is_set():
        try:
            told.append(client.score(["good", "bad", "so so", "good day"]))
        except Exception as problem:
            told.append(problem)
    client.close()


class Load:
    """Callers that ask without a pause for the length of a block."""

    def __init__(self, address, callers):
        self.told, self._stopped = [], threading.Event()
        self._threads = [
            threading.Thread(target=send_until, args=(self._stopped, address, self.told))
            for _ in range(callers)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self.told

    def __exit__(self, *_):
        self._stopped.set()
        for thread in self._threads:
            thread.join()


def kill_under_load(settings, bundle, kills, *, seed=1):
    """Kill a service at random points; give the ids of the scores that it had acknowledged."""
    chance, acknowledged = random.Random(seed), []
    for number in range(kills):
        with open(settings.project / f"log-{number}", "w+b") as log:
            with started(settings, log, "--bundle", str(bundle)) as (child, client):
                with Load(client.address, 8) as told:
                    time.sleep(chance.uniform(0.01, 0.4))
                    child.kill()
                    child.wait()
        answers = [one for one in told if not isinstance(one, Exception)]
        acknowledged += [score["score_id"] for one in answers for score in one["scores"]]
    return acknowledged
