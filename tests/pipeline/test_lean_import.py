"""Papermill comes without what local notebooks never need, and can still do everything."""

import subprocess
import sys

PROGRAM = """
import sys
from mlops_lab.pipeline.lean_import import import_papermill
{before}
import_papermill()
import papermill.execute, papermill.iorw
hidden = [name for name in ("pyarrow", "isoduration", "rfc3987_syntax") if name in sys.modules]
print(hidden, papermill.iorw.papermill_io.get_handler("hdfs://host/a").__class__.__name__)
import isoduration, pyarrow.fs
print(papermill.iorw.FileSelector("data").base_dir)
"""


def say(before: str = "") -> list[str]:
    program = [sys.executable, "-c", PROGRAM.format(before=before)]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_what_no_notebook_needs_stays_away_and_comes_when_asked():
    assert say() == ["[] HDFSHandler", "data"]


def test_in_a_kernel_nothing_that_others_may_need_is_hidden():
    told = say("import IPython")
    assert "pyarrow" in told[0] and "rfc3987_syntax" not in told[0] and told[1] == "data"


def test_threads_may_ask_at_once():
    before = (
        "import threading\n"
        "them = [threading.Thread(target=import_papermill) for _ in range(8)]\n"
        "[one.start() for one in them]; [one.join() for one in them]\n"
    )
    assert say(before) == ["[] HDFSHandler", "data"]
