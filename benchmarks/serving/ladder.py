"""Our service with parts of it left out, to tell what each costs: ladder.py PORT BUNDLE PART...

Parts that may stay away: validation (the body is plain JSON and believed), router (the model is
picked once), store (nothing is kept), cleaning (texts are read as they came), metrics (nothing is
counted). `thread` sends every commit the long way, through the writer thread, and `power` also asks
for a flush of the disk at each.
"""

import sys
import tempfile
from pathlib import Path

import orjson
import uvicorn

from mlops_lab.foundation.listening import bind_port, listen
from mlops_lab.foundation.settings import Settings
from mlops_lab.models.scorer import load_scorer
from mlops_lab.serving import messages, score_route, scoring, service
from mlops_lab.serving.model_source import folder_source
from mlops_lab.serving.quick_way import scoring_protocol
from mlops_lab.serving.score_store import ScoreStore


class NoStore:
    """Takes records and forgets them."""

    waiting = 0

    def gauges(self):
        return {}

    def save_now(self, records):
        return True


def believe(body, limits):
    fields = orjson.loads(body)
    text = fields["text"]
    is_single = isinstance(text, str)
    return messages.Asked([text] if is_single else text, is_single=is_single)


def leave_out(parts, app):
    if "validation" in parts:
        messages.read_score_request = believe
    if "metrics" in parts:
        quiet = app.state.service.metrics
        quiet.saw_request = quiet.saw_text = quiet.saw_set = lambda *told, **more: None
    if "thread" in parts:
        app.state.service.store.save_now = lambda records: False
    if "cleaning" in parts:
        app.state.service.source.current().scorer._clean = lambda text: text
    if "router" in parts:
        model = app.state.service.source.current()
        scoring._picked = lambda *asked: model
        score_route.read_routing = lambda *asked, **told: {}


def main():
    port, bundle, parts = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.db"
        store = NoStore() if "store" in parts else ScoreStore(path, power_safe="power" in parts)
        app = service.create_app(Settings(), folder_source(bundle, load_scorer), store)
        leave_out(parts, app)
        config = uvicorn.Config(app, log_level="warning", access_log=False, proxy_headers=False)
        config.http, config.server_header = scoring_protocol(app.state.desk), False
        uvicorn.Server(config).run(sockets=listen(bind_port("127.0.0.1", port)))


if __name__ == "__main__":
    main()
