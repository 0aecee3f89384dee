"""settings.ini and the environment: typed, inherited, refused when wrong."""

import pytest

from mlops_lab.foundation.errors import SettingsProblem
from mlops_lab.foundation.settings import find_project, read_settings


def write(folder, text):
    (folder / "settings.ini").write_text(text)
    return folder


def test_sections_inherit_from_default(tmp_path):
    write(tmp_path, "[DEFAULT]\nport = 1000\nrows = 5000\n[dev]\nport = 2000\n[prod]\n")
    assert read_settings(tmp_path, environ={}).port == 2000
    assert read_settings(tmp_path, section="prod", environ={}).port == 1000
    assert read_settings(tmp_path, environ={}).rows == 5000


def test_environment_beats_file_and_picks_the_section(tmp_path):
    write(tmp_path, "[DEFAULT]\nport = 1000\n[dev]\n[prod]\nport = 3000\n")
    environ = {"MLOPS_LAB_ENV": "prod"}
    assert read_settings(tmp_path, environ=environ).port == 3000
    assert read_settings(tmp_path, environ=environ | {"MLOPS_LAB_PORT": "4000"}).port == 4000


def test_paths_start_at_the_project_folder(tmp_path):
    write(tmp_path, "[DEFAULT]\nworkspace = state\n[dev]\n")
    assert read_settings(tmp_path, environ={}).workspace == tmp_path.resolve() / "state"
    outside = read_settings(tmp_path, environ={"MLOPS_LAB_WORKSPACE": "/elsewhere"})
    assert str(outside.workspace) == "/elsewhere"


def test_nearest_settings_file_upwards_is_the_project(tmp_path):
    inner = write(tmp_path, "[DEFAULT]\n[dev]\n") / "a" / "b"
    inner.mkdir(parents=True)
    assert find_project(inner) == tmp_path.resolve()


@pytest.mark.parametrize(
    ("text", "environ", "words"),
    [
        ("[DEFAULT]\nprot = 1\n[dev]\n", {}, ["'prot'", "settings.ini", "did you mean 'port'?"]),
        ("[DEFAULT]\nport = x\n[dev]\n", {}, ["port", "'x'", "a whole number"]),
        ("[DEFAULT]\nport = 0\n[dev]\n", {}, ["port", "'0'", "1 to 65535"]),
        ("[DEFAULT]\ntask = mood\n[dev]\n", {}, ["task", "'mood'", "emotion or sentiment"]),
        ("[DEFAULT]\ncanary_alpha = 2\n[dev]\n", {}, ["canary_alpha", "out of range"]),
        ("[develop]\n", {}, ["[develop]", "did you mean 'dev'"]),
        ("[prod]\n", {}, ["[dev]", "is not in settings.ini"]),
        ("no section", {}, ["cannot be read"]),
        ("", {"MLOPS_LAB_PROT": "1"}, ["'prot'", "the environment", "did you mean 'port'?"]),
        ("", {"MLOPS_LAB_PORT": "many"}, ["the environment", "a whole number"]),
        ("", {"MLOPS_LAB_ENV": "production"}, ["'production'", "dev or test or staging or prod"]),
    ],
)
def test_mistakes_are_refused_by_name(tmp_path, text, environ, words):
    with pytest.raises(SettingsProblem) as caught:
        read_settings(write(tmp_path, text), environ=environ)
    for word in words:
        assert word in str(caught.value)


def test_the_projects_own_file_is_valid_in_every_section(project):
    found = [read_settings(project, section=name, environ={}) for name in ("dev", "test", "prod")]
    assert len({one.workspace for one in found}) == 3
