"""Loaded code: every way in which a process can come to differ from what is on disk."""

import os
import subprocess
import sys
import zipfile

import pytest

# Imports `used`, then answers each line on its input with what changed.
WATCHER = """
import sys, time
sys.path.insert(0, {folder!r})
from mlops_lab.pipeline.loaded_code import LoadedCode
code = LoadedCode()
import {module}
code.note()
for line in sys.stdin:
    print(code.find_change(), flush=True)
"""
OLD_S = 1_000_000_000  # long ago


def age(*paths):
    """Have files be old for everybody, the system too: by waiting it out where that is needed."""
    for path in paths:
        os.utime(path, (OLD_S, OLD_S))


@pytest.fixture
def watch(tmp_path, monkeypatch):
    """Start a process that loaded a module, and ask it what changed."""
    started = []

    def start(module="used"):
        code = WATCHER.format(folder=str(tmp_path / "code"), module=module)
        # the time of a change cannot be set back, so the process believes in the future
        code = code.replace("code = Lo", "time.time_ns = lambda: 2**62\ncode = Lo")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        child = subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)
        started.append(child)

        def ask():
            child.stdin.write("?\n")
            child.stdin.flush()
            return child.stdout.readline().strip()

        return ask

    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "used.py").write_text("import json\nx = 1\n")
    yield start
    for child in started:
        child.communicate()


def edit(folder):
    (folder / "used.py").write_text("import json\nx = 2\n")


def edit_keeping_size_and_time(folder):
    age(folder / "used.py")
    (folder / "used.py").write_text("import json\nx = 3\n")
    age(folder / "used.py")


def replace(folder):
    (folder / "new.txt").write_text("import json\nx = 4\n")
    (folder / "new.txt").rename(folder / "used.py")


def remove(folder):
    (folder / "used.py").unlink()


def shadow(folder):
    (folder / "json.py").write_text("")


def shadow_by_package(folder):
    (folder / "json").mkdir()
    (folder / "json" / "__init__.py").write_text("")


def swap_folders(folder):
    other = folder.with_name("other")
    other.mkdir()
    (other / "used.py").write_bytes((folder / "used.py").read_bytes())
    folder.rename(folder.with_name("away"))
    other.rename(folder)


CHANGES = [edit, edit_keeping_size_and_time, replace, remove]
CHANGES += [shadow, shadow_by_package, swap_folders]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_of_loaded_code_is_noticed(watch, tmp_path, change):
    ask = watch()
    assert ask() == ""
    change(tmp_path / "code")
    assert str(tmp_path / "code") in ask()


def write_data(folder):
    (folder / "data.json").write_text("{}")
    (folder / "notes").mkdir()


def compile_it(folder):
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder)], check=True)


@pytest.mark.parametrize("change", [write_data, compile_it], ids=lambda change: change.__name__)
def test_what_is_not_code_is_no_change(watch, tmp_path, change):
    ask = watch()
    change(tmp_path / "code")
    assert ask() == ""


def test_a_module_in_an_archive_changes_with_the_archive(watch, tmp_path, monkeypatch):
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("packed.py", "x = 1\n")
    monkeypatch.setenv("PYTHONPATH", f"{archive}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    ask = watch("packed")
    assert ask() == ""
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("packed.py", "x = 2\n")
    assert "code.zip" in ask()


def test_a_file_loaded_just_after_it_was_written_is_not_trusted(tmp_path):
    (tmp_path / "used.py").write_text("x = 1\n")
    code = WATCHER.format(folder=str(tmp_path), module="used")
    asked = {"input": "?\n", "capture_output": True, "text": True, "check": True}
    told = subprocess.run([sys.executable, "-c", code], **asked)
    assert told.stdout.strip() == str(tmp_path / "used.py")
