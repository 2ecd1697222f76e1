"""Checkpoints: every array comes back as it was, wherever it is to lie; what cannot serve is said in a line."""

import errno
import os
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
from safetensors.numpy import load_file

from artifex.core.errors import InvalidTypeError, RunError, RunWarning
from artifex.core.testing import user_environment
from artifex.training.checkpoints import Checkpoints, latest_step
from artifex.training.state_file import CorruptCheckpoint, read_state, write_file

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


def save(folder, *steps, tree=None, **options):
    with Checkpoints(folder, **options) as checkpoints:
        for step in steps:
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


def remove(path):
    path.unlink()


def empty_folder(path):
    shutil.rmtree(path.parent)
    path.parent.mkdir()


WAYS = {
    "deleted": remove,
    "empty": cut(0),
    "cut in the header": cut(0.02),
    "cut in the data": cut(0.6),
    "without its last byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "with a byte too many": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "a bit of the length": flip(0),
    "a bit of the header": flip(0.1),
    "a bit of the data": flip(0.9),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a folder with nothing in it": empty_folder,
}


def file_of(folder, step):
    return folder / str(step) / "state-0-of-1.safetensors"


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(tmp_path, way):
    save(tmp_path, 1, 2)
    WAYS[way](file_of(tmp_path, 2))
    with pytest.warns(RunWarning, match=r"/2 is damaged \(.*\); the one of step 1 is used instead"):
        step, restored, extra = restore(tmp_path, state())
    assert (step, extra) == (1, {"loader": {"epoch": 1}})
    assert all(np.array_equal(*pair) for pair in zip(*map(jax.tree.leaves, (restored, state())), strict=True))
    with pytest.warns(RunWarning), Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.arrays("nested.1")[0] == 1
    assert latest_step(tmp_path) == 2  # reading changes nothing


def test_every_byte_counts(tmp_path):
    save(tmp_path, 1, tree={"a": jnp.ones(3)})
    path = file_of(tmp_path, 1)
    whole = path.read_bytes()
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
        with pytest.raises(CorruptCheckpoint):
            read_state(path.parent)


def test_none_is_whole(tmp_path):
    save(tmp_path, 1, 2)
    for step in (1, 2):
        WAYS["empty"](file_of(tmp_path, step))
    with pytest.raises(RunError, match=r"no whole checkpoint .* all are damaged \(2: .*cut off.*; 1: .*\); start a new run"):
        restore(tmp_path, state())


def test_a_file_that_may_not_be_read_is_not_damaged(tmp_path, monkeypatch):
    def refuse(path, *arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    save(tmp_path, 1, 2)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError, match="state-0-of-1"):
        restore(tmp_path, state())


def test_what_does_not_fit_is_not_passed_over(tmp_path):
    save(tmp_path, 1, tree={"a": jnp.ones(3)})
    save(tmp_path, 2, tree={"a": jnp.ones(2)})
    with pytest.raises(RunError, match=r"2 does not fit this model and optimiser: a is float32\[2\], not float32\[3\]"):
        restore(tmp_path, {"a": jnp.ones(3)})


def test_a_damaged_one_set_aside_is_no_obstacle(tmp_path):
    save(tmp_path, 1, 2)
    (tmp_path / "2.damaged").mkdir()  # of an earlier accident
    cut(0.5)(file_of(tmp_path, 2))
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
    (tmp_path / "9.tmp").mkdir()
    (tmp_path / "9.tmp" / "state-0-of-1.part").write_bytes(b"half")
    assert latest_step(tmp_path) == 3
    assert restore(tmp_path, state())[0] == 3
    save(tmp_path, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "4"]


# writing


def test_the_file_is_one_that_safetensors_reads(tmp_path):
    save(tmp_path, 1)
    found = load_file(file_of(tmp_path, 1))
    assert sorted(found) == sorted([*(f"nested.0.{dtype}" for dtype in DTYPES), "nested.1"])
    for dtype in DTYPES:
        np.testing.assert_array_equal(found[f"nested.0.{dtype}"], np.asarray(state()["nested"][0][dtype]))


def test_the_copy_is_of_the_moment_though_the_arrays_are_given_away(tmp_path):
    step = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), donate_argnums=0)
    values = {"a": jnp.zeros(10**6), "b": jnp.zeros(10**6)}
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
    save(tmp_path, 1)

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Checkpoints(tmp_path) as checkpoints:
        monkeypatch.setattr(os, "fsync", full)
        checkpoints.save(2, state(), {})
        while checkpoints.is_writing:
            time.sleep(0.01)
        with pytest.raises(OSError, match=r"No space left on device: .*2\.tmp"):
            checkpoints.check()
        checkpoints.check()  # said once
        monkeypatch.undo()
        checkpoints.save(3, state(), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3"]


def test_an_array_that_no_file_holds(tmp_path):
    with pytest.raises(InvalidTypeError, match="a is int4; a checkpoint holds bool, int8"):
        save(tmp_path, 1, tree={"a": jnp.zeros(2, "int4")})


# several processes: each writes the pieces it owns, and reads what it needs of all files


def test_pieces_of_several_processes_make_the_arrays(tmp_path):
    a, b = np.arange(24, dtype=np.float32).reshape(4, 6), np.arange(5, dtype=np.int32)
    quarters = {f"a@{r}:{r + 2},{c}:{c + 3}": a[r : r + 2, c : c + 3] for r in (0, 2) for c in (0, 3)}
    for process in range(4):
        mine = dict([list(quarters.items())[process]]) | ({"b": b, "c": np.float32(3)} if process == 2 else {})
        mine = {name: np.asarray(array) for name, array in mine.items()}
        write_file(tmp_path / f"state-{process}-of-4.safetensors", mine, {"seed": 1} if process == 0 else {})
    stored = read_state(tmp_path)
    assert stored.extra == {"seed": 1}
    for spec in [(), ("data",), (None, "data")]:
        place = NamedSharding(mesh(2), PartitionSpec(*spec))
        np.testing.assert_array_equal(stored.array("a", place), a)
    for name, array in [("b", b), ("c", 3)]:
        np.testing.assert_array_equal(stored.array(name, NamedSharding(mesh(2), PartitionSpec())), array)
    (tmp_path / "state-3-of-4.safetensors").unlink()
    with pytest.raises(CorruptCheckpoint, match=r"state-3-of-4\.safetensors is missing"):
        read_state(tmp_path)


TWO_PROCESSES = """
import sys

import jax

jax.config.update("jax_num_cpu_devices", 4)
jax.distributed.initialize(f"localhost:{sys.argv[1]}", 2, int(sys.argv[2]))

import numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
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
    step, arrays, extra = checkpoints.restore(place(0), layout)
assert (step, extra) == (3, {"seed": 3})
for name, array in arrays.items():
    for shard in array.addressable_shards:
        np.testing.assert_array_equal(np.asarray(shard.data), 3 * whole[name][shard.index])
jax.distributed.shutdown()
"""


@pytest.mark.nightly
def test_two_processes_write_one_checkpoint_and_one_reads_it(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    commands = [[sys.executable, "-c", TWO_PROCESSES, port, str(i), str(tmp_path)] for i in range(2)]
    processes = [subprocess.Popen(command, env=user_environment(), stderr=subprocess.PIPE, text=True) for command in commands]
    for process in processes:
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]
    assert sorted(path.name for path in (tmp_path / "3").iterdir()) == [f"state-{i}-of-2.safetensors" for i in range(2)]
    with Checkpoints(tmp_path) as checkpoints:
        _, arrays = checkpoints.arrays("a", "b", "c")
    np.testing.assert_array_equal(arrays["a"], 3 * np.arange(48.0, dtype="f").reshape(8, 6))
    np.testing.assert_array_equal(arrays["b"], 3 * np.arange(80, dtype="f").reshape(5, 16))
