"""Checkpoints: every array comes back as it was, wherever it is to lie; what cannot serve is said in a line."""

import errno
import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from artifex.core.errors import InvalidInputError, RunError, RunWarning
from artifex.core.testing import user_environment
from artifex.training import checkpoints as checkpoints_module, orbax_store
from artifex.training.checkpoints import Checkpoints, latest_step
from artifex.training.checksums import CorruptCheckpoint, check_share

DTYPES = ["bool", "int8", "uint8", "int32", "uint32", "float16", "bfloat16", "float32"]


def mesh(n):
    return jax.make_mesh((n,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:n])


def state():
    values = jnp.arange(-8, 8).reshape(8, 2)
    return {"nested": ({dtype: values.astype(dtype) for dtype in DTYPES}, jnp.asarray(3, jnp.int32)), "empty": {}}


def laid_out(tree, n, spec=()):
    place = NamedSharding(mesh(n), PartitionSpec(*spec))
    everywhere = NamedSharding(mesh(n), PartitionSpec())
    return jax.tree.map(lambda leaf: place if leaf.ndim else everywhere, tree)


def save(folder, *steps, tree=None, metrics=None, **options):
    with Checkpoints(folder, **options) as checkpoints:
        for step in steps:
            if metrics is not None:
                checkpoints.evaluated(step, metrics)
            checkpoints.save(step, state() if tree is None else tree, {"loader": {"epoch": step}})


def restore(folder, like, layout=None):
    with Checkpoints(folder) as checkpoints:
        return checkpoints.restore(like, laid_out(like, 1) if layout is None else layout)


@pytest.mark.parametrize(("saved_on", "restored_on"), [(1, 1), (4, 2), (2, 8), (8, 1)])
def test_a_round_trip_keeps_every_bit_on_any_mesh(tmp_path, saved_on, restored_on):
    save(tmp_path, 7, tree=jax.device_put(state(), laid_out(state(), saved_on, ("data",))))
    layout = laid_out(state(), restored_on, ("data",))
    step, restored, extra = restore(tmp_path, state(), layout)
    assert (step, extra) == (7, {"loader": {"epoch": 7}})
    assert jax.tree.structure(restored) == jax.tree.structure(state())
    for new, old, place in zip(*map(jax.tree.leaves, (restored, state(), layout)), strict=True):
        assert (new.dtype, new.sharding) == (old.dtype, place)
        assert np.asarray(new).tobytes() == np.asarray(old).tobytes()


def test_the_newest_few_are_kept(tmp_path):
    save(tmp_path, 1, 2, 3, 4, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "4"]
    assert latest_step(tmp_path) == 4


def test_a_step_is_saved_once(tmp_path):
    save(tmp_path, 5, 5)
    assert latest_step(tmp_path) == 5


def test_some_arrays_alone(tmp_path):
    save(tmp_path, 1, tree={"params": {"a": jnp.ones(2), "b": jnp.zeros(1)}, "params_of_another": jnp.ones(1)})
    with Checkpoints(tmp_path) as checkpoints:
        step, arrays = checkpoints.arrays("params")
        _, one = checkpoints.arrays("params.b")
    assert step == 1
    assert sorted(arrays) == ["params.a", "params.b"]
    assert sorted(one) == ["params.b"]


def test_none_there(tmp_path):
    with pytest.raises(RunError, match="nowhere holds no checkpoint"):
        restore(tmp_path / "nowhere", state())
    assert not (tmp_path / "nowhere").exists()
    assert latest_step(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"a": jnp.ones(3), "b": jnp.ones(1)}, r"a is float32\[2\], not float32\[3\]$"),
        ({"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(1)}, r"a is float32\[2\], not bfloat16\[2\]$"),
        ({"a": jnp.ones(2)}, "it has b besides$"),
        ({"a": jnp.ones(2), "b": jnp.ones(1), "c": jnp.ones(1)}, "it lacks c$"),
        ({str(i): jnp.ones(1) for i in range(5)}, "it lacks 0; it lacks 1; it lacks 2; and 4 more$"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, like, message):
    save(tmp_path, 1, tree={"a": jnp.ones(2), "b": jnp.ones(1)})
    with pytest.raises(RunError, match=f"1 does not fit this model and optimiser: {message}") as caught:
        restore(tmp_path, like)
    assert len(str(caught.value).splitlines()) == 1


# damage


def cut(part):
    return lambda path: path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])


def flip(part):
    def change(path):
        data = bytearray(path.read_bytes())
        data[int(part * len(data))] ^= 4
        path.write_bytes(data)

    return change


WAYS = {
    "missing": lambda path: path.unlink(),
    "empty": cut(0),
    "cut short": cut(0.6),
    "without its last byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "with a byte too many": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "its first byte flipped": flip(0),
    "a bit flipped in its middle": flip(0.5),
    "a bit flipped near its end": flip(0.99),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}


def files_of(folder):
    """The files of a checkpoint that say anything: the last one merely has to be there."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / "commit_success.txt")


def data_file(folder, step):
    """The file that holds the arrays."""
    return max(files_of(folder / str(step)), key=lambda path: path.stat().st_size)


def damage_of(step):
    with pytest.raises(CorruptCheckpoint) as caught:
        check_share(step, 0, 1)
    return str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_damage_to_any_file_of_a_checkpoint_is_noticed(tmp_path, way):
    """Orbax by itself restores arrays with flipped bits, and says nothing."""
    save(tmp_path, 1, best_metric="loss", metrics={"loss": 1.0})
    check_share(tmp_path / "1", 0, 1)
    files = files_of(tmp_path / "1")
    assert {"checksums.json", "_CHECKPOINT_METADATA", "data.json", "_METADATA", "metrics"} < {path.name for path in files}
    for path in files:
        whole = path.read_bytes()
        WAYS[way](path)
        assert path.name in damage_of(tmp_path / "1")
        path.write_bytes(whole)
    check_share(tmp_path / "1", 0, 1)
    (tmp_path / "1" / "commit_success.txt").unlink()
    assert damage_of(tmp_path / "1") == "commit_success.txt is missing"


def flipped(path, every):
    """Every so many bytes of a file in turn with a bit flipped."""
    whole = path.read_bytes()
    for i in range(0, len(whole), every):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
        yield i
    path.write_bytes(whole)


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.nightly)])
def test_every_byte_counts(tmp_path, every):
    save(tmp_path, 1, tree={"a": jnp.ones(3)})
    for path in files_of(tmp_path / "1"):
        if path.name != "_CHECKPOINT_METADATA":
            for _ in flipped(path, every):
                damage_of(tmp_path / "1")


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.nightly)])
def test_what_is_not_noticed_does_no_harm(tmp_path, every):
    """Orbax's own account of a step is not summed up: orbax still writes it when the checksums are there already."""
    save(tmp_path, 1, tree={"a": jnp.ones(3)})
    harmless = 0
    for _ in flipped(tmp_path / "1" / "_CHECKPOINT_METADATA", every):
        try:
            check_share(tmp_path / "1", 0, 1)
        except CorruptCheckpoint:
            continue
        harmless += 1
        _, arrays = Checkpoints(tmp_path).arrays("a")
        assert arrays["a"].tolist() == [1, 1, 1]
    assert harmless


def test_processes_share_the_work_of_checking_and_miss_nothing(tmp_path):
    save(tmp_path, 1)
    for path in files_of(tmp_path / "1"):
        whole = path.read_bytes()
        flip(0.5)(path)
        found = 0
        for process in range(3):
            try:
                check_share(tmp_path / "1", process, 3)
            except CorruptCheckpoint:
                found += 1
        path.write_bytes(whole)
        assert found
        if path == data_file(tmp_path, 1):
            assert found == 1  # the others need not read it


@pytest.mark.parametrize("way", ["missing", "cut short", "a bit flipped in its middle"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(tmp_path, way):
    save(tmp_path, 1, 2)
    WAYS[way](data_file(tmp_path, 2))
    with pytest.warns(RunWarning, match=r"/2 is damaged \(.*\); the one of step 1 is used instead"):
        step, restored, extra = restore(tmp_path, state())
    assert (step, extra) == (1, {"loader": {"epoch": 1}})
    assert all(np.array_equal(*pair) for pair in zip(*map(jax.tree.leaves, (restored, state())), strict=True))
    with pytest.warns(RunWarning), Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.arrays("nested.1")[0] == 1
    assert latest_step(tmp_path) == 2  # reading changes nothing


def test_a_folder_with_nothing_in_it_is_passed_over(tmp_path):
    save(tmp_path, 1)
    (tmp_path / "2").mkdir()
    with pytest.warns(RunWarning, match=r"/2 is damaged \(checksums\.json is missing\)"):
        assert restore(tmp_path, state())[0] == 1


def test_none_is_whole(tmp_path):
    save(tmp_path, 1, 2)
    for step in (1, 2):
        WAYS["empty"](data_file(tmp_path, step))
    with pytest.raises(RunError, match=r"no whole checkpoint .* all are damaged \(2: .*cut off.*; 1: .*\); start a new run"):
        restore(tmp_path, state())


def test_a_file_that_may_not_be_read_is_not_damaged(tmp_path, monkeypatch):
    def refuse(path, *arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    save(tmp_path, 1, 2)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        restore(tmp_path, state())


def test_what_one_process_finds_all_act_upon(tmp_path, monkeypatch):
    from jax.experimental import multihost_utils

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost_utils, "process_allgather", lambda mine: np.array([mine, 0]))
    assert checkpoints_module._agreed("") == "by what another process found"
    assert checkpoints_module._agreed("a is missing") == "a is missing"
    monkeypatch.setattr(multihost_utils, "process_allgather", lambda mine: np.array([mine, 1]))
    assert checkpoints_module._agreed("") == ""


def test_what_does_not_fit_is_not_passed_over(tmp_path):
    save(tmp_path, 1, tree={"a": jnp.ones(3)})
    save(tmp_path, 2, tree={"a": jnp.ones(2)})
    with pytest.raises(RunError, match=r"2 does not fit this model and optimiser: a is float32\[2\], not float32\[3\]"):
        restore(tmp_path, {"a": jnp.ones(3)})


def test_a_damaged_one_set_aside_is_no_obstacle(tmp_path):
    save(tmp_path, 1, 2)
    (tmp_path / "2.damaged").mkdir()  # of an earlier accident
    cut(0.5)(data_file(tmp_path, 2))
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.warns(RunWarning):
            checkpoints.restore(state(), laid_out(state(), 1))
        checkpoints.set_damaged_aside()
        assert latest_step(tmp_path) == 1
        checkpoints.save(2, state(), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "2.damaged", "2.damaged-2"]
    assert restore(tmp_path, state())[0] == 2


def test_one_that_was_cut_off_does_not_count_and_is_cleared_away(tmp_path):
    save(tmp_path, 3)
    unfinished = tmp_path / "9.orbax-checkpoint-tmp"
    shutil.copytree(tmp_path / "3", unfinished)  # all but its name
    assert latest_step(tmp_path) == 3
    assert restore(tmp_path, state())[0] == 3
    save(tmp_path, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "4"]


# where they go


@pytest.mark.parametrize("address", ["s3://bucket/run", Path("s3://bucket/run"), "hdfs://host/run"])
def test_an_address_that_would_become_a_local_folder_is_refused(address):
    with pytest.raises(InvalidInputError, match=r"a local folder or to gs://, got (s3|hdfs):"):
        Checkpoints(address)
    with pytest.raises(InvalidInputError, match="would end up in a local folder"):
        latest_step(address)


@pytest.mark.parametrize("address", ["gs://bucket/run/checkpoints", Path("gs://bucket/run/checkpoints")])
def test_an_address_in_cloud_storage_stays_one(address):
    assert str(Checkpoints(address).folder) == "gs://bucket/run/checkpoints"


def test_in_cloud_storage_a_step_counts_once_its_last_file_is_there(tmp_path, monkeypatch):
    save(tmp_path, 1, 2)
    (tmp_path / "2" / "commit_success.txt").unlink()
    assert checkpoints_module._steps(tmp_path) == [1, 2]  # a local one has been renamed
    monkeypatch.setattr(checkpoints_module, "Path", str)  # no path of this machine then
    assert checkpoints_module._steps(tmp_path) == [1]


# the best


def save_with_figures(folder, figures, **options):
    """A checkpoint a step, each with the figure of its evaluation; None for a step without one."""
    with Checkpoints(folder, best_metric="eval/loss", **options) as checkpoints:
        news = []
        for step, value in figures.items():
            news.append(value is not None and checkpoints.evaluated(step, {"eval/loss": value}))
            checkpoints.save(step, {"a": jnp.full(2, step)}, {})
            checkpoints.wait()
        return news


@pytest.mark.parametrize(("higher", "best"), [(False, 2), (True, 1)])
def test_the_best_stays_besides_the_newest(tmp_path, higher, best):
    figures = {1: 3.0, 2: 0.5, 3: 2.0, 4: None, 5: 1.0}
    news = save_with_figures(tmp_path, figures, keep=1, higher_is_better=higher)
    assert news == ([True, False, False, False, False] if higher else [True, True, False, False, False])
    assert sorted(path.name for path in tmp_path.iterdir()) == [str(best), "5"]
    with Checkpoints(tmp_path) as checkpoints:  # whoever reads need not know by which figure
        assert checkpoints.best_step() == best
        step, arrays = checkpoints.arrays("a", step=checkpoints.best_step())
        assert (step, arrays["a"].tolist()) == (best, [best, best])
        assert checkpoints.arrays("a")[0] == 5


def test_the_best_is_known_to_a_run_that_goes_on(tmp_path):
    save_with_figures(tmp_path, {1: 0.5, 2: 2.0, 3: 2.5}, keep=1)
    assert save_with_figures(tmp_path, {4: 1.0, 5: 0.7}, keep=1) == [False, False]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "5"]
    assert save_with_figures(tmp_path, {6: 0.1, 7: None}, keep=1) == [True, False]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["6", "7"]


def test_a_figure_that_is_no_number_is_never_the_best(tmp_path):
    assert save_with_figures(tmp_path, {1: np.nan, 2: 1.0, 3: np.inf}) == [False, True, False]
    assert Checkpoints(tmp_path).best_step() == 2


def test_no_best_without_a_figure(tmp_path):
    save(tmp_path, 1)
    assert Checkpoints(tmp_path).best_step() is None
    with pytest.raises(InvalidInputError, match="the best is told by 'eval/x', but an evaluation gives eval/loss"):
        Checkpoints(tmp_path, best_metric="eval/x").evaluated(1, {"eval/loss": 1.0})
    with pytest.raises(RunError, match="holds no checkpoint of step 7"):
        Checkpoints(tmp_path).arrays("a", step=7)


# writing


def test_orbax_by_itself_reads_large_arrays_under_dotted_names_and_small_ones_end_to_end(tmp_path):
    from orbax.checkpoint import v1 as ocp

    kernel = jnp.arange(20_000.0)
    small = {"bias": jnp.ones(2), "scale": jnp.full(1, 3.0)}
    save(tmp_path, 1, tree={"params": {"decoder.kernel": kernel, **small}, "step": jnp.int32(1)})
    found = ocp.load(tmp_path / "1")
    assert sorted(found) == ["packed float32", "packed int32", "params.decoder.kernel"]
    np.testing.assert_array_equal(found["params.decoder.kernel"], kernel)
    np.testing.assert_array_equal(found["packed float32"], [1, 1, 3])


def test_the_copy_is_of_the_moment_though_the_arrays_are_given_away(tmp_path):
    step = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), donate_argnums=0)
    values = {"a": jnp.zeros(10**6), "b": jax.device_put(jnp.zeros(10**6), NamedSharding(mesh(4), PartitionSpec("data")))}
    with Checkpoints(tmp_path) as checkpoints:
        for i in range(1, 4):
            values = step(values)
            checkpoints.save(i, values, {})
            for _ in range(3):
                values = step(values)
            values = jax.tree.map(lambda leaf, i=i: leaf - 3, values)
            checkpoints.wait()
            _, arrays = checkpoints.arrays("a", "b")
            assert all(np.all(np.asarray(array) == i) for array in arrays.values())


def test_a_failure_in_the_background_is_raised_and_leaves_the_last_one_whole(tmp_path, monkeypatch):
    """Orbax would raise the old error at the next save, too."""
    save(tmp_path, 1)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device", "a file")

    with Checkpoints(tmp_path) as checkpoints:
        monkeypatch.setattr(orbax_store, "write_part", full)
        checkpoints.save(2, state(), {})
        while checkpoints.is_writing:
            time.sleep(0.01)
        with pytest.raises(OSError, match=r"No space left on device: 'a file'"):
            checkpoints.check()
        checkpoints.check()  # said once
        assert sorted(path.name for path in tmp_path.iterdir()) == ["1"]  # what it had written may be what fills the disk
        monkeypatch.undo()
        checkpoints.save(3, state(), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3"]
    assert restore(tmp_path, state())[0] == 3


def test_a_full_disk_is_told_from_the_words_of_the_library_that_writes(tmp_path):
    said = (
        'RESOURCE_EXHAUSTED: Error writing "a/c/0" in OCDBT database at local file "/runs/2/state/": Failed writing: '
        "\"/runs/2/state/d/31\": Failed to write 583269 bytes to file 7: No space left on device [os_error_code='28']"
    )
    error = orbax_store.as_os_error(ValueError(said), tmp_path)
    assert isinstance(error, OSError)
    assert (error.errno, error.filename) == (errno.ENOSPC, "/runs/2/state/d/31")
    unnamed = orbax_store.as_os_error(OSError(errno.ENOSPC, "No space left on device"), tmp_path)
    assert (unnamed.errno, unnamed.filename) == (errno.ENOSPC, str(tmp_path))
    other = ValueError("a shape")
    assert orbax_store.as_os_error(other, tmp_path) is other


def test_arrays_of_rare_kinds_come_back(tmp_path):
    tree = {
        "int4": jnp.arange(3).astype("int4"),
        "float8": jnp.ones(3, "float8_e4m3fn"),
        "no elements": jnp.zeros((0, 3), "bfloat16"),
        "key": jax.random.key(3),
        "keys": jax.random.split(jax.random.key(4, impl="rbg"), 3),
    }
    save(tmp_path, 1, tree=tree)
    _, restored, _ = restore(tmp_path, tree)
    _, arrays = Checkpoints(tmp_path).arrays(*tree)
    for found in (restored, arrays):
        for name, leaf in tree.items():
            assert (found[name].dtype, found[name].shape) == (leaf.dtype, leaf.shape)
        for name in ("int4", "float8"):
            np.testing.assert_array_equal(np.asarray(found[name], np.float32), np.asarray(tree[name], np.float32))
        assert jax.random.key_data(found["keys"]).tolist() == jax.random.key_data(tree["keys"]).tolist()
        assert jax.random.normal(found["key"]) == jax.random.normal(tree["key"])
    with pytest.raises(RunError, match=r"key is key<fry>\[\], not key<rbg>\[\]"):
        restore(tmp_path, tree | {"key": jax.random.key(3, impl="rbg")})


def test_orbax_is_imported_when_it_is_needed():
    """It takes the better part of a second."""
    code = "import sys, artifex.training, artifex.training.checkpoints; print('orbax.checkpoint' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


# several processes: each writes the pieces it owns, and reads what it needs of all files


TWO_PROCESSES = """
import sys

import jax

jax.config.update("jax_num_cpu_devices", 4)
jax.distributed.initialize(f"localhost:{sys.argv[1]}", 2, int(sys.argv[2]))

import numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
from artifex.core.errors import RunError
from artifex.training.checkpoints import Checkpoints

mesh = jax.make_mesh((8,), ("fsdp",), axis_types=(jax.sharding.AxisType.Auto,))
whole = {"a": np.arange(48.0, dtype="f").reshape(8, 6), "b": np.arange(80, dtype="f").reshape(5, 16), "c": np.float32(3)}
specs = {"a": P("fsdp"), "b": P(None, "fsdp"), "c": P()}

def place(factor):
    return {
        name: jax.make_array_from_callback(x.shape, NamedSharding(mesh, specs[name]), lambda i, x=x: factor * x[i])
        for name, x in whole.items()
    }

with Checkpoints(sys.argv[3]) as checkpoints:
    for step in (1, 2, 3):
        checkpoints.save(step, place(step), {"seed": step})
    checkpoints.wait()
    layout = {"a": NamedSharding(mesh, P()), "b": NamedSharding(mesh, P(None, "fsdp")), "c": NamedSharding(mesh, P())}
    restored = checkpoints.restore(place(0), layout)
for (step, arrays, extra), n in ((restored, 3), (Checkpoints(sys.argv[4]).restore(place(0), layout), 5)):
    assert (step, extra) == (n, {"seed": n})
    for name, array in arrays.items():
        for shard in array.addressable_shards:
            np.testing.assert_array_equal(np.asarray(shard.data), n * whole[name][shard.index])
damaged = Checkpoints(sys.argv[5])
try:
    damaged.restore(place(0), layout)
    raise AssertionError("it is damaged")
except RunError as error:
    assert "all are damaged" in str(error)
jax.distributed.shutdown()
"""


@pytest.mark.nightly
def test_two_processes_write_one_checkpoint_and_one_reads_it_and_the_other_way(tmp_path):
    tree = {"a": np.arange(48.0, dtype="f").reshape(8, 6), "b": np.arange(80, dtype="f").reshape(5, 16), "c": np.float32(3)}
    for name in ("one", "damaged"):
        with Checkpoints(tmp_path / name) as checkpoints:
            checkpoints.save(5, jax.tree.map(lambda x: 5 * jnp.asarray(x), tree), {"seed": 5})
    flip(0.5)(data_file(tmp_path / "damaged", 5))
    two = tmp_path / "two"
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    folders = [str(tmp_path / name) for name in ("two", "one", "damaged")]
    commands = [[sys.executable, "-c", TWO_PROCESSES, port, str(i), *folders] for i in range(2)]
    processes = [subprocess.Popen(command, env=user_environment(), stderr=subprocess.PIPE, text=True) for command in commands]
    for process in processes:
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    assert sorted(path.name for path in two.iterdir()) == ["2", "3"]
    assert {f"checksums-{i}-of-2.json" for i in range(2)} < {path.name for path in (two / "3" / "state").iterdir()}
    for path in (two / "3" / "state").glob("checksums-*"):
        assert json.loads(path.read_text())["told"][0]  # each had its share
    with Checkpoints(two) as checkpoints:
        _, arrays = checkpoints.arrays("a", "b", "c")
        split = {name: NamedSharding(mesh(4), PartitionSpec()) for name in arrays} | {
            "a": NamedSharding(mesh(4), PartitionSpec("data")),
        }
        _, laid, _ = checkpoints.restore(arrays, split)
    np.testing.assert_array_equal(laid["a"], arrays["a"])
    assert laid["a"].sharding == split["a"]
    np.testing.assert_array_equal(arrays["a"], 3 * np.arange(48.0, dtype="f").reshape(8, 6))
    np.testing.assert_array_equal(arrays["b"], 3 * np.arange(80, dtype="f").reshape(5, 16))
