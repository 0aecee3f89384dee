"""JupyterLab with everything in place, and without writing over anybody's work."""

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlops_lab.command_line import jupyterlab
from mlops_lab.command_line.jupyterlab import jupyter_environment, open_jupyterlab, write_lessons
from mlops_lab.foundation.settings import Settings

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def settings(home):
    shutil.copytree(PROJECT / "course", home / "course")
    return Settings(section="test", project=home, workspace=home / ".lab")


@pytest.fixture
def started(monkeypatch):
    """What is started instead of JupyterLab; the tracking store takes seconds and is left out."""
    calls = []

    def start(command, **more):
        calls.append((command, more))
        return SimpleNamespace(returncode=5)

    monkeypatch.setattr(jupyterlab.subprocess, "run", start)
    monkeypatch.setattr(jupyterlab, "prepare_tracking", lambda lab: calls.append(lab.root))
    return calls


def test_jupyterlab_starts_in_the_project_after_the_lab_is_ready(settings, started):
    assert open_jupyterlab(settings, ["--no-browser"]) == 5
    tracked, (command, more) = started
    assert tracked == settings.workspace and (settings.workspace / "runs").is_dir()
    assert command == [sys.executable, "-m", "jupyterlab", "--no-browser"]
    assert more["cwd"] == settings.project and more["env"]["MLOPS_LAB_ENV"] == "test"


def test_settings_of_the_user_stay_behind_ours(settings, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", os.pathsep.join(["/mine", "/yours"]))
    first, *rest = jupyter_environment(settings)["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert rest == ["/mine", "/yours"] and (Path(first) / "jupyter_server_config.json").is_file()
    monkeypatch.delenv("JUPYTER_CONFIG_PATH")
    assert jupyter_environment(settings)["JUPYTER_CONFIG_PATH"] == first
    assert "MLOPS_LAB_ENV" not in os.environ


def test_lessons_are_copied_once_and_never_again(settings):
    [copy] = [path for path in write_lessons(settings.project) if "lab0" in path.name]
    assert copy.parent == settings.project / "work" and "### BEGIN SOLUTION" not in copy.read_text()
    copy.write_text("my answers")
    assert copy in write_lessons(settings.project) and copy.read_text() == "my answers"


def test_lessons_come_in_the_language_of_the_settings(settings):
    [english] = write_lessons(settings.project, language="en")
    [spanish] = write_lessons(settings.project, language="es")
    assert english != spanish and '"language": "es"' in spanish.read_text()
    assert "Ejercicio" in spanish.read_text() and "Ejercicio" not in english.read_text()


def test_a_broken_lesson_does_not_keep_the_lab_shut(settings, started, capsys):
    (settings.project / "course/source/lab0/lab0.ipynb").write_text("{}")
    assert open_jupyterlab(settings) == 5
    assert "the lessons are not ready: " in capsys.readouterr().err


def test_a_project_without_a_course_opens_all_the_same(settings, started):
    shutil.rmtree(settings.project / "course")
    assert open_jupyterlab(settings) == 5 and write_lessons(settings.project) == []
