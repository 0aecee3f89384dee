import json
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mlops_lab.command_line.jupyter_servers import mlflow_server, scoring_server
from mlops_lab.foundation.settings import Settings

PROJECT = Path(__file__).parents[2]
ENTRIES = {"mlflow": mlflow_server, "scoring": scoring_server}


@pytest.fixture
def settings(tmp_path):
    return Settings(section="staging", workspace=tmp_path / "lab")


@pytest.mark.parametrize("name", ENTRIES)
def test_jupyter_server_proxy_accepts_the_entry(name, settings):
    config = pytest.importorskip("jupyter_server_proxy.config")
    process = config.ServerProcess(name=name, **ENTRIES[name](settings))
    assert process.timeout == 90 and process.launcher_entry.category == "Notebook"
    assert process.command[0] == sys.executable and "{port}" in process.command


@pytest.mark.parametrize("name", ENTRIES)
def test_the_icon_is_a_small_picture_of_our_own(name, settings):
    path = Path(ENTRIES[name](settings)["launcher_entry"]["icon_path"])
    assert path.stat().st_size < 3000
    root = ElementTree.parse(path).getroot()
    assert root.attrib["viewBox"] and root.attrib["aria-label"]


def test_entry_points_name_these_functions():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    declared = project["entry-points"]["jupyter_serverproxy_servers"]
    assert declared == {
        name: f"mlops_lab.command_line.jupyter_servers:{function.__name__}"
        for name, function in ENTRIES.items()
    }


def test_mlflow_reads_the_lab_and_stays_on_this_machine(settings):
    command = mlflow_server(settings)["command"]
    options = dict(zip(command[4::2], command[5::2], strict=True))
    assert options["--backend-store-uri"] == f"sqlite:///{settings.workspace}/tracking.db"
    assert options["--artifacts-destination"] == str(settings.workspace / "artifacts")
    assert options["--host"] == "127.0.0.1" and options["--static-prefix"] == "{base_url}mlflow"


def test_mlflow_follows_an_address():
    settings = Settings(tracking_address="postgresql://db/lab")
    assert "postgresql://db/lab" in mlflow_server(settings)["command"]


def test_the_runs_page_is_the_one_for_training():
    page = mlflow_server(Settings())["launcher_entry"]["path_info"]
    assert page.endswith("?workflowType=machine_learning")


def test_mlflow_knows_every_option_we_give(settings):
    folder = Path(find_spec("mlflow").origin).parent
    sources = [*folder.glob("cli/*.py"), *folder.glob("cli.py"), folder / "utils" / "cli_args.py"]
    known = "".join(path.read_text() for path in sources)
    given = [word for word in mlflow_server(settings)["command"] if word.startswith("--")]
    assert [option for option in given if f'"{option}"' not in known] == []


def test_the_service_runs_in_the_same_work_environment(settings):
    assert scoring_server(settings)["environment"] == {"MLOPS_LAB_ENV": "staging"}


def test_jupyterlab_is_quiet_and_opens_the_landing_page():
    folder = PROJECT / "mlops_lab" / "assets" / "jupyter"
    overrides = json.loads((folder / "labconfig" / "default_setting_overrides.json").read_text())
    assert overrides["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    server = json.loads((folder / "jupyter_server_config.json").read_text())
    opened = server["LabApp"]["default_url"].removeprefix("/lab/tree/")
    assert (PROJECT / opened).is_file()
    assert server["ContentsManager"]["allow_hidden"], "reports lie in .lab"
