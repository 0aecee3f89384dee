"""The online store on real PostgreSQL and Redis servers, started here and stopped again."""

import os
import shutil
import subprocess
import sys
import time

import pytest
from postgres_server import free_port, running_postgres, start, stop

from mlops_lab.data.feature_store import FeatureStore, describe_freshness, find_differences
from mlops_lab.data.feature_view import Feature, FeatureView, author_activity, compute_features
from mlops_lab.data.world import world_frame
from mlops_lab.foundation.errors import DataProblem

VIEW = author_activity()
EVENTS = world_frame(12_000)
PEOPLE = [f"p{(place * 7_919) % 10_000}" for place in range(len(EVENTS))]
TABLE = compute_features(VIEW, EVENTS.assign(author=PEOPLE))


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """The address of a PostgreSQL server of our own."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as address:
        yield address


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    """The address of a Redis server of our own."""
    pytest.importorskip("redis")
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if not program:
        pytest.skip("no Redis server here")
    port, folder = free_port(), str(tmp_path_factory.mktemp("redis"))
    words = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--requirepass", "hush"]
    server = start([program, *words, "--dir", folder], port)
    yield f"redis://:hush@127.0.0.1:{port}/0"
    stop(server)


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def address(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'online.db'}"
    return request.getfixturevalue(request.param)


@pytest.fixture
def view(request):
    """The same features under a name of their own, so that tests do not meet."""
    name = request.node.name.split("[")[0].removeprefix("test_")
    return FeatureView(name[:60], VIEW.entity, VIEW.features)


def test_online_and_offline_agree_exactly_on_ten_thousand_entities(address, view):
    store, entities = FeatureStore(address, view), list(TABLE["entity"].unique())
    assert len(entities) == 10_000
    for moment in (TABLE["at"].iloc[5_000], TABLE["at"].max()):
        store.materialise(TABLE, as_of=moment)
        assert find_differences(store, TABLE, entities=entities, as_of=moment).empty
    fresh = describe_freshness(store, TABLE["at"].max())
    assert fresh == {"entities": 10_000, "newest_days": 0.0, "stale": 0.0}
    assert store.get("nobody") is None
    store.close()


def test_another_process_reads_what_one_wrote(address, view):
    store, other = FeatureStore(address, view), FeatureStore(address, view)
    assert other.get("p1") is None
    store.materialise(TABLE.head(5_000))
    entity = TABLE["entity"].iloc[0]
    assert store.get(entity) and other.get(entity) == store.get(entity)
    store.close()
    other.close()


def test_odd_names_and_numbers_come_back_as_they_went_in(address, view):
    store = FeatureStore(address, view)
    lines = [("ñandú'; DROP", 2**53 + 1, 0.1 + 0.2, 1e-300, -0.0, None), ("", 0, 1, 2, 3, 4)]
    store.table.write((name, 5, *values) for name, *values in lines)
    for name, *values in lines:
        found = list(store.get(name).values())
        assert found == values and list(map(type, found)) == list(map(type, values))
    store.close()


def test_a_failed_materialisation_changes_nothing(address, view):
    store = FeatureStore(address, view)
    store.materialise(TABLE.head(2_000))
    entity = TABLE["entity"].iloc[0]
    before, times = store.get(entity), sorted(store.table.times())
    lines = [(f"q{place}", 1, 1, 1, 1, 1, 1) for place in range(3_000)]
    with pytest.raises(Exception, match=r"."):
        store.table.write([(entity, 9, 9, 9, 9, 9, 9), *lines, ("bad", 1, object(), 1, 1, 1, 1)])
    assert store.get(entity) == before and sorted(store.table.times()) == times
    store.close()


KILLED = """
import sys
from mlops_lab.data.feature_store import FeatureStore
from mlops_lab.data.feature_view import FeatureView, author_activity
view = FeatureView(sys.argv[2], "author", author_activity().features)
store, version = FeatureStore(sys.argv[1], view), 1
print("ready", flush=True)
while True:
    store.table.write((f"p{place}", 5, version, 0, 0, 0, 0) for place in range(20_000))
    version += 1
"""


def test_a_killed_writer_leaves_one_version(address, view):
    for wait in (0.4, 0.9, 1.3):
        words = [sys.executable, "-c", KILLED, address, view.name]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        child = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "ready\n"
        time.sleep(wait)
        child.kill()
        child.wait()
        child.stdout.close()
        store = FeatureStore(address, view)
        found = [store.get(f"p{place}") for place in range(0, 20_000, 997)]
        assert len({one and one["messages"] for one in found}) == 1
        store.close()


def test_a_changed_definition_is_refused(address, view):
    FeatureStore(address, view).close()
    other = FeatureView(view.name, view.entity, {"messages": Feature("count")})
    with pytest.raises(DataProblem, match="messages, mean_chars"):
        FeatureStore(address, other)


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_a_server_that_refuses_is_told_without_the_password(kind, request, view):
    address = request.getfixturevalue(kind)
    with pytest.raises(DataProblem) as wrong:
        FeatureStore(address.replace("hush", "guess"), view)
    port = address.rsplit(":", 1)[1].split("/")[0]
    with pytest.raises(DataProblem) as gone:
        FeatureStore(address.replace(port, str(free_port())), view)
    for problem in (wrong, gone):
        assert "127.0.0.1" in str(problem.value) and "guess" not in str(problem.value)
        assert "hush" not in str(problem.value)


def test_an_address_nobody_speaks_names_those_that_are():
    with pytest.raises(DataProblem, match="no feature store speaks mysql://"):
        FeatureStore("mysql://127.0.0.1/lab", VIEW)
