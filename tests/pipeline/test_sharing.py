"""Results that a class shares: taken checked, offered clean, and never in the way of a run."""

import functools
import http.server
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from notebook_bench import Bench

from mlops_lab.foundation.records import digest_file, read_json, write_json
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.pipeline.history import read_history
from mlops_lab.pipeline.outbox import empty_outbox, outbox_of, start_offering
from mlops_lab.pipeline.sharing import Sharing, make_manifest, manifest_name, open_sharing
from mlops_lab.pipeline.shelf import open_shelf
from mlops_lab.pipeline.store import Result


class Student(Bench):
    """A lab of its own beside the same notebooks, in a class that shares results."""

    def __init__(self, bench, name, address, **settings):
        lab = bench.settings.workspace.parent / name
        own = {"workspace": lab, "project": bench.folder, "remote_store": address}
        super().__init__(bench.folder, replace(bench.settings, **own, **settings))

    def run(self, pipeline, **options):
        """Run the pipeline, then offer what it made."""
        end = super().run(pipeline, shared=open_sharing(self.settings), **options)
        self.told = {}
        if self.settings.remote_store_write == "on":
            self.told = empty_outbox(self.settings)
        return end


@pytest.fixture
def shelf(tmp_path):
    """A folder that everybody reaches."""
    (tmp_path / "class").mkdir()
    return tmp_path / "class"


@pytest.fixture
def students(bench, shelf):
    """Two labs that share it."""
    return [Student(bench, name, f"file://{shelf}") for name in ("ana", "ben")]


def states(end):
    return [stage.state for stage in end.stages]


def objects(shelf):
    return [path for path in (shelf / "v1/objects").glob("*/*") if path.is_file()]


def test_what_one_made_the_other_gets(students, chain):
    ana, ben = students
    assert states(ana.run(chain)) == ["done"] * 3 and ana.told["offered"] == 3
    end = ben.run(chain)
    assert end.state == "cached" and (end.folder / "m.txt").read_text() == "6"
    assert all(stage.reason.endswith(", shared") for stage in end.stages)
    assert not any(stage.notes for stage in end.stages)
    assert ben.told == {"offered": 0, "kept": [], "trouble": ""}
    assert states(ben.run(chain)) == ["cached"] * 3
    page = nbformat.read(end.folder / "notebooks/double.ipynb", 4)
    assert 'workspace = "<run>"' in "".join(cell.source for cell in page.cells)


def test_a_shelf_holds_no_folder_of_a_machine(students, chain, shelf, tmp_path):
    students[0].run(chain)
    for path in (path for path in shelf.rglob("*") if path.is_file()):
        assert str(tmp_path).encode() not in path.read_bytes()
        assert str(Path.home()).encode() + b"/" not in path.read_bytes()


@pytest.mark.parametrize(
    "work",
    [
        "_ = stage.output('n.txt').write_text(str(stage.folder))",
        "import os\n_ = stage.output('n.txt').write_text(os.path.expanduser('~/a'))",
    ],
)
def test_a_result_that_names_a_folder_stays_at_home(students, bench, shelf, work):
    bench.stage("make", work)
    pipeline = bench.define("  make: {notebook: make.ipynb, outputs: [n.txt]}\n")
    assert students[0].run(pipeline).state == "done"
    assert "names a folder of this machine" in students[0].told["kept"][0]
    assert not list(shelf.rglob("*.json")) and students[1].run(pipeline).state == "done"


def test_a_result_with_undeclared_inputs_stays_at_home(students, bench, shelf):
    (bench.folder / "own.csv").write_text("a")
    bench.stage("make", f"_ = open({str(bench.folder / 'own.csv')!r}).read()")
    pipeline = bench.define("  make: {notebook: make.ipynb}\n")
    assert students[0].run(pipeline).stages[0].notes and not list(shelf.rglob("*.json"))


def test_students_who_may_not_write_still_read(bench, students, chain, shelf):
    students[0].run(chain)
    before = sorted(shelf.rglob("*"))
    reader = Student(bench, "eva", str(shelf), remote_store_write="off")
    bench.stage("show", "print(stage.input('m.txt').read_text())")
    end = reader.run(chain)
    assert states(end) == ["cached", "cached", "done"] and sorted(shelf.rglob("*")) == before
    assert start_offering(reader.settings) == ""


def harm_object(shelf, manifest):
    path = shelf / f"v1/objects/{manifest['result']['files']['m.txt'][7:9]}"
    next(path.iterdir()).write_text("7")


def harm_record(shelf, manifest):
    """Forge a consistent manifest whose record tells of another file."""
    files, forged = manifest["result"]["files"], shelf / "forged"
    forged.write_text("7")
    digest = digest_file(forged)
    place = shelf / f"v1/objects/{digest[7:9]}" / digest[9:]
    place.parent.mkdir(exist_ok=True)
    forged.rename(place)
    return manifest | {"result": manifest["result"] | {"files": files | {"m.txt": digest}}}


def change(**parts):
    return lambda _, manifest: manifest | {"result": manifest["result"] | parts}


def climb(_, manifest):
    files = manifest["result"]["files"]
    sizes = manifest["sizes"] | {"../../ledger.jsonl": 1}
    return change(files=files | {"../../ledger.jsonl": files["m.txt"]})(_, manifest) | {
        "sizes": sizes
    }


HARM = {
    "file": (harm_object, "its file m.txt was changed"),
    "forged": (harm_record, "its record tells of another m.txt"),
    "gone": (lambda s, m: [p.unlink() for p in objects(s)] and None, "is not there"),
    "key": (change(parts={}), "its manifest is of another result"),
    "stage": (change(stage="show"), "its manifest is of another result"),
    "climbing": (climb, "its manifest names wrong files"),
}


@pytest.mark.parametrize("name", HARM)
def test_what_was_changed_is_refused_and_named_and_mended(students, chain, shelf, name):
    ana, ben = students
    ana.run(chain)
    harm, words = HARM[name]
    end = ana.run(chain)
    place = shelf / manifest_name(end.stages[1].key)
    manifest = read_json(place)
    new = harm(shelf, {key: manifest[key] for key in ("format", "result", "sizes")})
    if new:
        write_json(place, make_manifest(Result(**new["result"]), new["sizes"]))
    end = ben.run(chain)
    double = end.stages[1]
    assert double.state == "done" and (end.folder / "m.txt").read_text() == "6"
    assert words in double.notes[0] and manifest_name(double.key) in double.notes[0]
    assert not list((ben.settings.workspace / "store").rglob("*.part"))
    eva = Student(ana, "eva", str(shelf))
    assert states(eva.run(chain)) == ["cached"] * 3, "the next one finds it mended"


def test_half_a_manifest_is_refused(students, chain, shelf):
    end = students[0].run(chain)
    place = shelf / manifest_name(end.stages[0].key)
    place.write_bytes(place.read_bytes()[:100])
    told = students[1].run(chain).stages[0]
    assert told.state == "done" and "is not JSON" in told.notes[0]


def test_a_shelf_nobody_reaches_is_one_warning(bench, chain, tmp_path):
    student = Student(bench, "ana", f"file://{tmp_path}/not/mounted")
    end = student.run(chain)
    notes = [note for stage in end.stages for note in stage.notes]
    assert states(end) == ["done"] * 3 and len(notes) == 1
    assert "cannot be reached: FileNotFoundError" in notes[0]
    assert student.told["trouble"] and len(list(outbox_of(tmp_path / "ana").glob("*.json"))) == 3
    (tmp_path / "not").mkdir()
    student.run(chain)
    assert student.told == {"offered": 3, "kept": [], "trouble": ""}


class Hanging:
    """A shelf that never answers."""

    def fetch(self, name, place):
        threading.Event().wait(60)

    put = size = fetch


def test_a_shelf_that_hangs_holds_a_run_up_once(bench, chain, monkeypatch):
    from mlops_lab.pipeline import sharing

    real = sharing.call_within
    monkeypatch.setattr(sharing, "call_within", lambda seconds, work: real(0.3, work))
    started = time.monotonic()
    end = Bench.run(bench, chain, shared=Sharing(Hanging(), "the class", outbox=None))
    notes = [note for stage in end.stages for note in stage.notes]
    assert end.state == "done" and len(notes) == 1 and "TimeoutError" in notes[0]
    assert time.monotonic() - started < 30


RUN = """
import sys
from pathlib import Path
from mlops_lab.foundation.settings import Settings
from mlops_lab.pipeline.outbox import empty_outbox
from mlops_lab.pipeline.plan import read_pipeline
from mlops_lab.pipeline.runner import run_pipeline
from mlops_lab.pipeline.sharing import open_sharing
from mlops_lab.pipeline.options import RunOptions
folder, lab, address = sys.argv[1:]
settings = Settings(project=Path(folder), workspace=Path(lab), remote_store=address)
options = RunOptions(shared=open_sharing(settings))
print(run_pipeline(read_pipeline(Path(folder)), settings, options=options).state)
print(empty_outbox(settings)["trouble"])
"""


def begin(folder, lab, shelf):
    command = [sys.executable, "-c", RUN, str(folder), str(lab), f"file://{shelf}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_labs_that_start_at_once_are_both_right(bench, chain, shelf, tmp_path):
    both = [begin(bench.folder, tmp_path / name, shelf) for name in ("ana", "ben")]
    for one in both:
        assert one.communicate(timeout=120)[0].split() in (["done"], ["cached"])
    for name in ("ana", "ben"):
        run = read_history(Workspace(tmp_path / name))[-1]
        assert (tmp_path / name / "runs" / run.run / "m.txt").read_text() == "6"
    third = Student(bench, "eva", str(shelf))
    assert states(third.run(chain)) == ["cached"] * 3
    assert not list(shelf.rglob("*.part"))


OFFER = """
import sys
from pathlib import Path
from mlops_lab.foundation.settings import Settings
from mlops_lab.pipeline.outbox import empty_outbox
lab, shelf = map(Path, sys.argv[1:])
print("ready", flush=True)
settings = Settings(project=lab, workspace=lab, remote_store=str(shelf))
print(empty_outbox(settings))
"""


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.02, 0.04, 0.08])
def test_a_killed_offer_leaves_nothing_half_and_goes_on_the_next_time(
    bench, shelf, delay, tmp_path
):
    write = (
        "import random\nfor i in range(40):\n"
        "    stage.output(f'o/{i}').write_bytes(random.randbytes(200_000))"
    )
    bench.stage("make", write)
    pipeline = bench.define("  make: {notebook: make.ipynb, outputs: [o/]}\n")
    ana = Student(bench, "ana", str(shelf))
    Bench.run(ana, pipeline, shared=open_sharing(ana.settings))
    command = [sys.executable, "-c", OFFER, str(tmp_path / "ana"), str(shelf)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    time.sleep(delay)
    child.kill()
    child.wait()
    child.stdout.close()
    ben = Student(bench, "ben", str(shelf), remote_store_write="off")
    assert states(ben.run(pipeline)) in (["done"], ["cached"])
    assert not any(stage.notes for stage in ben.run(pipeline).stages)
    assert empty_outbox(ana.settings)["trouble"] == ""
    eva = Student(bench, "eva", str(shelf), remote_store_write="off")
    assert states(eva.run(pipeline)) == ["cached"]


def test_the_background_process_offers_and_needs_no_terminal(students, chain, shelf):
    ana = students[0]
    Bench.run(ana, chain, shared=open_sharing(ana.settings))
    assert start_offering(ana.settings) == ""
    end = time.monotonic() + 30
    while len(list(shelf.rglob("*.json"))) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    assert states(students[1].run(chain)) == ["cached"] * 3
    assert (outbox_of(ana.settings.workspace) / ".log").read_text() == ""


def test_a_secret_of_a_stage_is_not_offered(students, bench, shelf, monkeypatch):
    monkeypatch.setenv("LESSON_TOKEN", "correct horse battery")
    bench.stage("make", "_ = stage.output('n.txt').write_text('correct horse battery')")
    pipeline = bench.define("  make: {notebook: make.ipynb, outputs: [n.txt]}\n")
    settings = replace(students[0].settings, api_key="correct horse battery")
    students[0].settings = settings
    students[0].run(pipeline)
    assert students[0].told["kept"] == ["n.txt of stage 'make' holds a secret"]
    assert not list(shelf.rglob("*.json"))


def test_shared_results_travel_through_the_memory_of_fsspec(bench, chain):
    ana, ben = (Student(bench, name, "memory://class/store") for name in ("ana", "ben"))
    ana.run(chain)
    assert ana.told == {"offered": 3, "kept": [], "trouble": ""}
    end = ben.run(chain)
    assert end.state == "cached" and (end.folder / "m.txt").read_text() == "6"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A web server that says nothing."""

    def log_message(self, *_):
        pass


@pytest.fixture
def web(shelf):
    """The shelf as a page on the web, for reading only."""
    handler = functools.partial(Quiet, directory=str(shelf))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_shared_results_can_be_read_from_a_web_server(bench, students, chain, shelf, web):
    students[0].run(chain)
    ben = Student(bench, "web", web, remote_store_write="off")
    end = ben.run(chain)
    assert end.state == "cached", end.stages[0]
    writer = Student(bench, "eve", web)
    bench.stage("show", "print(stage.input('m.txt').read_text())")
    assert writer.run(chain).state == "done" and writer.told["trouble"]


def test_a_missing_package_is_said_before_anything_runs(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(Exception, match="pip install fsspec") as caught:
        open_shelf("s3://user:secret@class/store", bench.folder)
    assert "secret" not in str(caught.value)
