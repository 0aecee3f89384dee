"""Files a stage uses without declaring them: seen, told, refused if asked, and never stale."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_lab.pipeline import undeclared
from mlops_lab.pipeline.access import read_accesses
from mlops_lab.pipeline.close_up import describe_run, describe_stage, run_lines, stage_lines
from mlops_lab.pipeline.explanation import explain_stage
from mlops_lab.pipeline.history import find_run
from mlops_lab.pipeline.options import RunOptions
from mlops_lab.pipeline.report import write_report

WAYS = {"fork": {"warm": True}, "kernel": {"warm": False}}


@pytest.fixture
def project(bench, tmp_path):
    """A project folder of its own around the notebooks, with a file nobody declares."""
    bench.settings = replace(bench.settings, project=bench.folder)
    (bench.folder / "own.csv").write_text("text,label\n")
    os.utime(bench.folder / "own.csv", (1, 1))
    return bench.folder


def one_stage(bench, *work, more=""):
    bench.stage("make", *work, "_ = stage.output('n.txt').write_text('1')")
    return bench.define(f"  make: {{notebook: make.ipynb, outputs: [n.txt]{more}}}\n")


@pytest.mark.parametrize("way", WAYS)
def test_what_a_stage_reads_and_writes_beside_its_declaration_is_told(bench, project, lab, way):
    work = (
        f"import pandas as pd\n_ = pd.read_csv({str(project / 'own.csv')!r})",
        "_ = open('extra.txt', 'w').write('1')",
        f"_ = open({str(project / 'late.csv')!r}, 'w').write('1')",
        "open('scratch', 'w').close()\nimport os\nos.remove('scratch')",
    )
    end = bench.run(one_stage(bench, *work), **WAYS[way])
    assert end.state == "done", end.stages[0]
    read = "read without declaring: project:own.csv"
    wrote = "wrote without declaring: extra.txt, project:late.csv; not kept in the store"
    assert end.stages[0].notes == (read, wrote)
    assert read_accesses(end.folder / "logs/make.files").watched
    run = find_run(lab)
    assert run.stages["make"]["notes"] == [read, wrote]
    assert f"    {read}" in run_lines(describe_run(lab, run))
    assert f"note: {read}" in stage_lines(describe_stage(lab, run, stage="make"))
    assert read in write_report(lab, run, title="T").read_text()
    again = bench.run(one_stage(bench, *work), **WAYS[way]).stages[0]
    assert again.state == "cached" and again.notes == (read, wrote)


@pytest.mark.parametrize("way", WAYS)
def test_a_changed_undeclared_input_is_never_taken_for_the_same(bench, project, way):
    own = project / "own.csv"
    pipeline = one_stage(bench, f"_ = open({str(own)!r}).read()")
    assert bench.run(pipeline, **WAYS[way]).state == "done"
    os.utime(own, (5, 5))
    assert bench.run(pipeline, **WAYS[way]).state == "cached"
    folder = bench.run(pipeline, **WAYS[way]).folder
    asked = {"settings": bench.settings, "run_folder": folder, "options": RunOptions()}
    assert explain_stage(pipeline, "make", **asked).stored
    own.write_text("text,label\nlate,joy\n")
    os.utime(own, (5, 5))
    told = explain_stage(pipeline, "make", **asked)
    assert not told.stored and "project:own.csv, which changed" in told.lines()[1]
    again = bench.run(pipeline, **WAYS[way]).stages[0]
    assert again.reason == "read without declaring: project:own.csv, which changed"
    assert again.state == "done" and bench.run(pipeline, **WAYS[way]).state == "cached"
    own.unlink()
    assert bench.run(pipeline, **WAYS[way]).state == "failed"


def test_a_file_that_changes_while_the_stage_runs_is_never_trusted(bench, project):
    own = str(project / "own.csv")
    change = f"import subprocess\n_ = subprocess.run(['touch', {own!r}], check=True)"
    pipeline = one_stage(bench, f"_ = open({own!r}).read()", change)
    assert bench.run(pipeline).state == "done"
    again = bench.run(pipeline)
    assert again.state == "done" and "changed while it ran" in again.stages[0].reason


@pytest.mark.parametrize("way", WAYS)
def test_a_definition_may_refuse_undeclared_files(bench, project, way):
    own = str(project / "own.csv")
    pipeline = one_stage(bench, f"_ = open({own!r}).read()", more=", undeclared: refuse")
    end = bench.run(pipeline, **WAYS[way])
    assert end.state == "failed" and "project:own.csv" in end.stages[0].reason
    assert not list((bench.settings.workspace / "store").glob("results/*"))
    more = f", undeclared: refuse, outside: [{own}]"
    assert bench.run(one_stage(bench, f"_ = open({own!r}).read()", more=more)).state == "done"


def test_a_file_read_by_a_c_library_is_told_where_its_name_stands_in_the_code(bench, project):
    import pyarrow
    import pyarrow.parquet

    path = project / "own.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"n": [1]}), path)
    os.utime(path, (1, 1))
    read = f"import pyarrow.parquet\n_ = pyarrow.parquet.read_table({str(path)!r})"
    pipeline = one_stage(bench, read)
    end = bench.run(pipeline)
    told = "names without declaring: project:own.parquet; a C++ library may have read it"
    assert end.stages[0].notes == (told,)
    pyarrow.parquet.write_table(pyarrow.table({"n": [2]}), path)
    os.utime(path, (1, 1))
    assert bench.run(pipeline).stages[0].state == "done"


def test_a_write_by_a_program_is_seen_in_the_folder_of_the_run(bench, project):
    work = "import subprocess\n_ = subprocess.run(['touch', 'made.txt'], check=True)"
    end = bench.run(one_stage(bench, work))
    assert end.stages[0].notes == ("wrote without declaring: made.txt; not kept in the store",)


def test_changing_or_removing_what_another_stage_made_is_told(bench, chain):
    work = "import os\nos.remove('n.txt')\n_ = open('n.txt', 'w').write('9')"
    bench.stage("show", work)
    end = bench.run(chain)
    assert end.stages[2].notes == ("wrote without declaring: n.txt; not kept in the store",)
    bench.stage("show", "import os\nos.remove('n.txt')")
    assert bench.run(chain).stages[2].notes == ("removed without declaring: n.txt",)


def test_a_module_nobody_could_foresee_counts_as_an_undeclared_input(bench, project):
    for name in ("foreseen", "hidden"):
        (project / f"{name}.py").write_text("N = 1\n")
        os.utime(project / f"{name}.py", (1, 1))
    work = "import foreseen", "import importlib\n_ = importlib.import_module('hid' + 'den').N"
    pipeline = one_stage(bench, *work)
    first = bench.run(pipeline)
    assert first.stages[0].notes == ("read without declaring: project:hidden.py",)
    assert bench.run(pipeline).state == "cached"  # compiled now, and still the same
    (project / "hidden.py").write_text("N = 2\n")
    os.utime(project / "hidden.py", (1, 1))
    assert bench.run(pipeline).stages[0].state == "done"
    (project / "hidden.py").write_text("N = 2  # compiled before\n")
    os.utime(project / "hidden.py", (3, 3))
    told = bench.run(pipeline, force=frozenset(["make"])).stages[0]
    assert told.notes == ("read without declaring: project:hidden.py",)


def test_stages_side_by_side_are_not_blamed_for_each_other(bench, project):
    meet = (
        "import time, pathlib\npathlib.Path('{name}.here').write_text('1')\n"
        "end = time.monotonic() + 20\n"
        "while len(list(pathlib.Path().glob('*.here'))) < 2 and time.monotonic() < end:\n"
        "    time.sleep(0.02)\ntime.sleep(0.3)"
    )
    for name in ("left", "right"):
        bench.stage(name, meet.format(name=name))
    pipeline = bench.define("  left: {notebook: left.ipynb}\n  right: {notebook: right.ipynb}\n")
    for end in bench.run(pipeline, jobs=2).stages:
        told = f"wrote without declaring: {end.stage}.here; not kept in the store"
        assert end.notes == (told,)


def test_nothing_is_told_of_honest_stages_and_nothing_is_looked_up_for_them(
    bench, chain, monkeypatch
):
    assert not any(stage.notes for stage in bench.run(chain).stages)
    monkeypatch.setattr(undeclared, "find_stale", lambda *_, **__: pytest.fail("looked up"))
    assert bench.run(chain).state == "cached"


CLOSER = """
import os, sys
from mlops_lab.pipeline.access import watch_files
watch_files("notes", [os.getcwd()])
open("one.txt", "w").close()
os.closerange(3, 99)
files = [open(f"{i}.txt", "w") for i in range(20)]
for file in files:
    file.close()
"""


def test_a_process_that_closes_our_file_finds_nothing_of_ours_in_its_own(tmp_path):
    own = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", CLOSER], cwd=tmp_path, check=True, env=own)
    assert all((tmp_path / f"{i}.txt").read_bytes() == b"" for i in range(20))
    assert read_accesses(tmp_path / "notes").written == (str(tmp_path / "one.txt"),)


ODD = """
import os, sqlite3, threading
from pathlib import Path
from mlops_lab.pipeline.access import watch_files
watch_files("notes", [os.getcwd()], ignored=[os.path.join(os.getcwd(), "ignored")])
os.close(os.open(b"bytes.txt", os.O_CREAT | os.O_WRONLY))
open(os.open("number.txt", os.O_CREAT | os.O_RDWR), "w").close()
with open("both.txt", "a+"): pass
sqlite3.connect(Path("base.db")).close()
sqlite3.connect(":memory:").close()
Path("both.txt").rename("moved.txt")
os.mkdir("ignored"); open("ignored/a", "w").close()
for name in ("none", "name\\udcff"):
    try: open(name)
    except OSError: pass
threads = [threading.Thread(target=lambda i=i: open(f"t{i}", "w").close()) for i in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
if os.fork() == 0:
    open("child.txt", "w").close()
    os._exit(0)
os.wait()
os.chdir("ignored")
open("../up.txt", "w").close()
"""


def test_every_way_python_has_of_opening_a_file_is_noted(tmp_path):
    own = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", ODD], cwd=tmp_path, check=True, env=own)
    seen = read_accesses(tmp_path / "notes")
    written = {Path(path).name for path in seen.written}
    threads = {f"t{i}" for i in range(8)}
    files = {"bytes.txt", "number.txt", "both.txt", "moved.txt", "child.txt", "up.txt"}
    assert written - {"base.db"} == files | threads
    assert {Path(path).name for path in seen.read} >= {"both.txt", "none"}
    assert [Path(path).name for path in seen.removed] == ["both.txt"]
    assert "base.db" in {Path(path).name for path in seen.read}


def test_half_a_line_of_notes_is_no_trouble(tmp_path):
    (tmp_path / "notes").write_text(json.dumps(["r", "/a"]) + '\n["w", "/b')
    assert read_accesses(tmp_path / "notes").read == ("/a",)
