"""Downloads from a real server that stalls, truncates, corrupts, redirects, refuses and forgets."""

import hashlib
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlops_lab.data.catalogue import DataFile
from mlops_lab.data.download import DownloadRules, download_file
from mlops_lab.foundation.errors import DataProblem

CONTENT = b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(8_000))
SIZE, DIGEST = len(CONTENT), hashlib.sha256(CONTENT).hexdigest()


class Moody(BaseHTTPRequestHandler):
    """Answers as its server's script says, one word per request; then as a good server does."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        script, begin = self.server.script, 0
        if "Range" in self.headers:
            begin = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        self.server.asked.append((self.path, begin))
        mood = script.pop(0) if script else "good"
        getattr(self, "be_" + mood)(begin)

    def reply(self, status, length, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def be_good(self, begin, content=CONTENT):
        if begin >= SIZE:
            return self.reply(416, 0)
        span = f"bytes {begin}-{SIZE - 1}/{SIZE}"
        self.reply(
            206 if begin else 200, SIZE - begin, **({"Content_Range": span} if begin else {})
        )
        self.wfile.write(content[begin:])

    def be_truncated(self, begin):
        span = f"bytes {begin}-{SIZE - 1}/{SIZE}"
        self.reply(
            206 if begin else 200, SIZE - begin, **({"Content_Range": span} if begin else {})
        )
        self.wfile.write(CONTENT[begin : begin + 70_000])
        self.close_connection = True

    def be_stalling(self, begin):
        self.reply(200, SIZE)
        self.wfile.write(CONTENT[:70_000])
        self.wfile.flush()
        self.server.released.wait(10)
        self.close_connection = True

    def be_silent(self, begin):
        self.server.released.wait(10)
        self.close_connection = True

    def be_corrupt(self, begin):
        self.be_good(begin, bytes([CONTENT[0] ^ 1]) + CONTENT[1:-1] + b"?")

    def be_rangeless(self, begin):
        self.reply(200, SIZE)
        self.wfile.write(CONTENT)

    def be_elsewhere(self, begin):
        self.reply(302, 0, Location=f"{self.path}-moved")

    def be_looping(self, begin):
        self.server.script.insert(0, "looping")
        self.reply(302, 0, Location=f"{self.path}x")

    def be_failing(self, begin):
        self.reply(500, 0)

    def be_busy(self, begin):
        self.reply(503, 0)

    def be_missing(self, begin):
        self.reply(404, 0)

    def be_shifted(self, begin):
        span = f"bytes {begin + 5}-{SIZE - 1}/{SIZE}"
        self.reply(206, SIZE - begin - 5, Content_Range=span)
        self.wfile.write(CONTENT[begin + 5 :])

    def be_endless(self, begin):
        self.reply(200, 10 * SIZE)
        self.wfile.write(CONTENT * 10)

    def be_login(self, begin):
        page = b"<html>please log in</html>"
        self.reply(200, len(page))
        self.wfile.write(page)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Moody)
    server.handle_error = lambda *_: None  # a client that hangs up is part of the play
    server.daemon_threads = True
    server.asked, server.script, server.released = [], [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def waits():
    return []


@pytest.fixture
def rules(waits):
    return DownloadRules(timeout_s=0.3, attempts=3, backoff_s=0.5, pause=waits.append)


def the_file(server, name="data.bin", sha256=DIGEST, size=SIZE):
    url = f"http://127.0.0.1:{server.server_port}/{name}"
    return DataFile(name, split="all", url=url, bytes=size, sha256=sha256)


def names(folder):
    return sorted(item.name for item in folder.iterdir())


@pytest.mark.parametrize(
    ("script", "begins"),
    [
        ([], [0]),
        (["truncated"], [0, 70_000]),
        (["truncated", "truncated", "truncated"], [0, 70_000, 140_000, 210_000]),
        (["stalling"], [0, 70_000]),
        (["silent"], [0, 0]),
        (["failing", "busy"], [0, 0, 0]),
        (["truncated", "failing", "truncated"], [0, 70_000, 70_000, 140_000]),
        (["truncated", "rangeless"], [0, 70_000]),
        (["truncated", "shifted"], [0, 70_000, SIZE - 70_005]),
        (["corrupt"], [0, 0]),
        (["truncated", "corrupt", "good"], [0, 70_000, 0]),
        (["elsewhere"], [0, 0]),
        (["login"], None),
        (["endless"], [0, 0]),
    ],
    ids=lambda value: "-".join(map(str, value)) if value else "good",
)
def test_whatever_the_server_does_the_file_is_whole_or_absent(
    server, tmp_path, rules, script, begins
):
    server.script[:] = script
    place = download_file(the_file(server), tmp_path, rules=rules)
    assert place.read_bytes() == CONTENT and names(tmp_path) == ["data.bin"]
    if begins is not None and "shifted" not in script:
        assert [begin for _, begin in server.asked] == begins


@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        ("failing", "the server answers 500"),
        ("corrupt", "its SHA-256 differs"),
        ("silent", "the server stalled"),
        ("looping", "answers 302"),
        ("endless", "a login page?"),
        ("login", "broke off after 26 of 256,000 bytes"),
    ],
)
def test_a_server_that_stays_bad_is_given_up(server, tmp_path, rules, waits, mood, reason):
    server.script[:] = [mood] * 40
    with pytest.raises(DataProblem) as refused:
        download_file(the_file(server), tmp_path, rules=rules)
    assert reason in refused.value.found and "put it at" in refused.value.remedy
    assert str(tmp_path / "data.bin") in refused.value.remedy and DIGEST in refused.value.expected
    assert not (tmp_path / "data.bin").exists()
    if mood != "looping":
        assert waits == [0.5, 1.0][: len(waits)] and len(waits) >= 2


def test_a_refusal_is_not_tried_again(server, tmp_path, rules, waits):
    server.script[:] = ["missing", "good"]
    with pytest.raises(DataProblem, match="answers 404"):
        download_file(the_file(server), tmp_path, rules=rules)
    assert len(server.asked) == 1 and waits == []


def test_a_later_call_goes_on_where_the_first_was_stopped(server, tmp_path, rules):
    server.script[:] = ["truncated", *["failing"] * 3]
    with pytest.raises(DataProblem):
        download_file(the_file(server), tmp_path, rules=rules)
    assert names(tmp_path) == [".data.bin.part"]
    server.asked.clear()
    download_file(the_file(server), tmp_path, rules=rules)
    assert [begin for _, begin in server.asked] == [70_000] and names(tmp_path) == ["data.bin"]


def test_a_draft_that_is_too_long_or_rotten_is_begun_again(server, tmp_path, rules):
    for draft in (b"x" * (SIZE + 9), b"x" * SIZE, b"x" * 50_000):
        (tmp_path / ".data.bin.part").write_bytes(draft)
        (tmp_path / "data.bin").unlink(missing_ok=True)
        assert download_file(the_file(server), tmp_path, rules=rules).read_bytes() == CONTENT


def test_progress_is_told_and_never_runs_backwards(server, tmp_path):
    told = []
    rules = DownloadRules(progress=lambda *step: told.append(step), pause=lambda _: None)
    server.script[:] = ["truncated"]
    download_file(the_file(server), tmp_path, rules=rules)
    done = [step[1] for step in told]
    assert done == sorted(done) and told[-1] == ("data.bin", SIZE, SIZE)


def test_no_server_at_all(server, tmp_path, rules):
    file = the_file(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(DataProblem, match="Connection refused"):
        download_file(file, tmp_path, rules=rules)


CHILD = """
import json, sys
from pathlib import Path
from mlops_lab.data import catalogue, data_home
known = json.loads(sys.argv[2])
file = catalogue.DataFile(**known)
form = catalogue.DataForm("separated", {}, {}, (file,))
data_set = catalogue.DataSet("shared", "Shared", "en", "free", "me", "none", {}, {}, {}, (form,))
data_home.find_data_set = lambda name: data_set
told = []
rules = data_home.FetchRules(notice=told.append)
folder, _ = data_home.fetch_data_set("shared", Path(sys.argv[1]), rules=rules)
print(len(told), (folder / file.name).stat().st_size)
"""


def test_processes_share_one_download_and_terms_are_told_once(server, tmp_path):
    server.script[:] = ["truncated"] * 2
    words = [sys.executable, "-c", CHILD, str(tmp_path), json.dumps(vars(the_file(server)))]
    children = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ends = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], ends
    assert sorted(out.split() for out, _ in ends) == [["0", str(SIZE)]] * 2 + [["1", str(SIZE)]]
    assert [begin for _, begin in server.asked] == [0, 70_000, 140_000]
    assert names(tmp_path / "shared") == [".lock", "data.bin"]


def test_a_killed_download_leaves_no_half_file(server, tmp_path):
    server.script[:] = ["stalling", "stalling"]
    words = [sys.executable, "-c", CHILD, str(tmp_path), json.dumps(vars(the_file(server)))]
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    draft = tmp_path / "shared" / ".data.bin.part"
    until = time.monotonic() + 30
    while not (draft.exists() and draft.stat().st_size) and time.monotonic() < until:
        time.sleep(0.02)
    child.kill()
    child.wait()
    assert names(Path(draft.parent)) == [".data.bin.part", ".lock"]
    server.script.clear()
    again = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert again.stdout.split() == ["1", str(SIZE)], again.stderr
