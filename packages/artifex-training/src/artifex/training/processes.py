"""Several processes that train one model together, each with devices of its own.

JAX joins them (``jax.distributed``), and every process runs the same program: all of them take each step, evaluate, gather and
write checkpoints together, while only the first one writes logs, samples and the trained model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from artifex.core.errors import InvalidInputError, NonFiniteLossError, RunError

__all__ = [
    "ADDRESS",
    "COUNT",
    "HEARTBEAT_S",
    "INDEX",
    "Interrupted",
    "ask_first",
    "ended_alike",
    "gathered",
    "is_first",
    "is_multiprocess",
    "joined",
    "on_host",
    "put_global",
    "start_processes",
]

ADDRESS, COUNT, INDEX = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
"""Environment variables for what JAX cannot find out by itself: where the first process listens (``host:port``), how many
processes there are, and which one this is, from 0."""

HEARTBEAT_S = 30
"""How long a process may be silent before the others take it for dead, which ends them too."""


class Interrupted(KeyboardInterrupt):
    """Training was ended by the signal that it carries, between two steps, at the same step in every process."""


_MET_BY_ALL = (Interrupted, NonFiniteLossError)
"""Errors that every process meets at the same step, because they follow from what all of them know."""


def start_processes() -> None:
    """Join the processes of this run, before JAX starts its backend; waits until all are there.

    JAX finds them by itself under SLURM, Open MPI, Kubernetes (with the package ``kubernetes``) and on Cloud TPUs. Elsewhere
    the environment variables :data:`ADDRESS`, :data:`COUNT` and :data:`INDEX` tell it; they take precedence.

    Raises:
        InvalidInputError: the variables are incomplete or no numbers, or nothing tells of other processes.
        RunError: the other processes cannot be reached.
    """
    given = {name: os.environ[name] for name in (ADDRESS, COUNT, INDEX) if os.environ.get(name)}
    numbers = [given.get(name) for name in (COUNT, INDEX)]
    if any(numbers) and len(given) < 3:
        raise InvalidInputError(f"{', '.join(given)} alone will not do; set all three of {ADDRESS}, {COUNT} and {INDEX}")
    if not all(number is None or number.isdecimal() for number in numbers):
        raise InvalidInputError(f"{COUNT} and {INDEX} are whole numbers, got {' and '.join(map(repr, numbers))}")
    count, index = (None if number is None else int(number) for number in numbers)
    try:
        # with all three given, JAX need not look for a scheduler, whose idea of this process could be another
        method = None if count is None else "deactivate"
        jax.distributed.initialize(
            num_processes=count,
            process_id=index,
            cluster_detection_method=method,
            heartbeat_timeout_seconds=HEARTBEAT_S,
        )
    except ValueError as error:  # one of the three is not known
        raise InvalidInputError(
            f"--distributed: nothing tells of other processes ({error}). Start this under SLURM (srun), Open MPI (mpirun) or "
            f"Kubernetes, or set {ADDRESS}, {COUNT} and {INDEX}"
        ) from error
    except RuntimeError as error:
        raise RunError(f"--distributed: the processes of this run do not come together: {error}") from error


@contextmanager
def joined(distributed: bool) -> Iterator[None]:
    """Where ``distributed``, join the other processes of this run, and part from them at the end.

    One that fails on its own must not wait for the others: it stays joined, and its end is the end of all.
    """
    if distributed:
        start_processes()
    try:
        yield
    except _MET_BY_ALL:
        _part(distributed)
        raise
    except jax.errors.JaxRuntimeError as error:
        if not distributed:
            raise
        raise RunError(
            f"this process lost the others, or its devices failed: {str(error).splitlines()[0][:300]}\n"
            "  The process that failed first says why. Go on from the newest checkpoint with artifex train --resume."
        ) from error
    _part(distributed)


def _part(distributed: bool) -> None:
    if distributed:
        jax.distributed.shutdown()  # waits until all are here


def is_multiprocess() -> bool:
    """Whether this process computes together with others."""
    return jax.process_count() > 1


def is_first() -> bool:
    """Whether this is the process that writes what only one may write."""
    return jax.process_index() == 0


def put_global(tree: Any, layout: Any) -> Any:
    """``tree``, of arrays that are the same in every process, on devices as ``layout`` says: a sharding, or one for each array.

    Arrays that lie there already are handed on. Each process supplies what its own devices hold; nothing is sent.
    """
    if not is_multiprocess():
        return jax.device_put(tree, layout)
    if isinstance(layout, jax.sharding.Sharding):
        return jax.tree.map(lambda leaf: _supplied(leaf, layout), tree)
    return jax.tree.map(_supplied, tree, layout)


def _supplied(value: Any, sharding: Any) -> jax.Array:
    if isinstance(value, jax.Array) and not value.is_fully_addressable:  # spread over the processes already
        return jax.device_put(value, sharding)
    host = np.asarray(value)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def gathered(tree: Any) -> Any:
    """``tree`` as whole arrays on the host. In several processes, all of them have to ask for it."""

    def fetch(array: jax.Array) -> np.ndarray:
        if not array.is_fully_addressable and not array.is_fully_replicated:
            assert isinstance(array.sharding, NamedSharding)
            everywhere = NamedSharding(array.sharding.mesh, PartitionSpec())
            array = jax.jit(lambda a: a, out_shardings=everywhere)(array)
        return np.asarray(array)

    return jax.tree.map(fetch, tree)  # one array at a time, so that the devices hold no second whole model


def on_host(tree: Any) -> Any:
    """Copies of whole arrays in the host's memory, whatever becomes of the arrays. In several processes all have to ask."""

    def copy(array: jax.Array) -> Any:
        if jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key):
            return jax.device_put(array, array.sharding, may_alias=False)
        return np.array(gathered(array))  # on a CPU what is gathered is the very memory of the array

    return jax.tree.map(copy, tree)


def ask_first(question: Callable[[], str]) -> str:
    """What ``question()`` gives in the first process, which alone asks it; every process has to call this.

    Raises:
        RunError: it raised that in the first process.
    """
    if not is_multiprocess():
        return question()
    from jax.experimental import multihost_utils

    said, error = b"", None
    if is_first():
        try:
            said = b"+" + question().encode()
        except RunError as raised:
            said, error = b"-" + str(raised).encode(), raised
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(said))))
    text = np.zeros(size, np.uint8)
    if is_first():
        text[:] = np.frombuffer(said, np.uint8)
    heard = bytes(multihost_utils.broadcast_one_to_all(text).astype(np.uint8))
    if heard[:1] == b"-":
        raise error or RunError(heard[1:].decode())
    return heard[1:].decode()


def ended_alike(error: BaseException | None) -> bool:
    """Whether every process has met ``error`` at the same step, so that they can still compute together."""
    return error is None or isinstance(error, _MET_BY_ALL) or not is_multiprocess()
