"""Checks on eight devices: divided by data, by parameters, and by layers, a model computes what it computes on one."""

from __future__ import annotations

import jax
import pytest
from flax import nnx

from artifex.core.mesh import DeviceMeshManager, ShardingConfig
from artifex.core.sharding import batch_sharding, shardings
from artifex.core.testing.conformance.subject import N_DEVICES, Subject, close, host


def sharded_data(subject: Subject) -> None:
    """The batch divided over eight devices, the parameters on each: a step makes what it makes on one."""
    _compare(subject, ShardingConfig(data_parallel_size=N_DEVICES))


def sharded_fsdp(subject: Subject) -> None:
    """Batch and parameters divided over eight devices: a step makes what it makes on one."""
    if not _compare(subject, ShardingConfig(data_parallel_size=N_DEVICES, fsdp_enabled=True, fsdp_min_weight_size=0)):
        pytest.skip(f"not applicable: no axis of any parameter is a multiple of {N_DEVICES}")


def sharded_tensor(subject: Subject) -> None:
    """Parameters divided in two by their logical axes, the batch in four: a step makes what it makes on one."""
    if not _compare(subject, ShardingConfig(data_parallel_size=N_DEVICES // 2, tensor_parallel_size=2)):
        pytest.skip("not applicable: no parameter has an even axis with a logical name that a rule divides")


def _compare(subject: Subject, config: ShardingConfig) -> bool:
    """Check, and tell whether any parameter was divided."""
    if len(jax.devices()) < N_DEVICES:
        pytest.skip(f"needs {N_DEVICES} devices: run pytest with -p artifex.core.testing.strict")
    mesh = DeviceMeshManager(jax.devices()[:N_DEVICES]).mesh_for(config)
    model = subject.model()
    places = [
        shardings(nnx.state(model, kind), mesh, fsdp_min_weight_size=config.fsdp_min_weight_size)
        for kind in (nnx.Param, nnx.Not(nnx.Param))
    ]
    _, *parts = subject.parts()
    # From the host: dividing an array that is on a device already would be one more program for each shape.
    params, state = jax.device_put(host(parts), places)
    batch = jax.device_put(host(subject.batch), batch_sharding(mesh))
    for name in subject.objectives:
        sharded, unsharded = subject.step(name)(params, state, batch, subject.key()), subject.stepped(name)
        what = f"eight devices against one, {f'the {name}' if name else 'the model'}"
        close(sharded._asdict(), unsharded._asdict(), what)
    return not all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(params))
