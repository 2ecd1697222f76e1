"""What JAX runs on: the devices, their memory, the versions."""

from __future__ import annotations

from importlib import metadata
from typing import Any, TypeAlias

import jax

from artifex.core.host_limits import whole_cores

__all__ = ["Device", "DeviceManager"]

Device: TypeAlias = jax.Device  # pyright: ignore[reportInvalidTypeForm]  (a variable, to a type checker)


class DeviceManager:
    """Answers what hardware there is. Making one starts nothing; the first question starts JAX's backend.

    >>> manager = DeviceManager()
    >>> manager.get_default_device() in manager.get_device_info()["jax_devices"]
    True
    """

    def get_device_info(self) -> dict[str, Any]:
        """Everything known about the machine.

        Returns:
            ``backend`` (``"cpu"``, ``"gpu"``, ``"tpu"``), ``jax_devices`` (all of them, of every process), ``device_count``,
            ``local_device_count``, ``gpu_count``, ``process_index``, ``process_count``, ``cpu_count`` (whole cores that this
            process may keep busy, after the limits of its container), ``jax_version``, ``jaxlib_version``,
            ``platform_version`` and ``devices``: for each device that belongs to this process a dict of ``id``, ``platform``,
            ``kind``, ``memory_bytes`` (its limit) and ``memory_in_use_bytes``.
            What a device does not report is ``None``.
        """
        return {
            "backend": jax.default_backend(),
            "jax_devices": jax.devices(),
            "device_count": jax.device_count(),
            "local_device_count": jax.local_device_count(),
            "gpu_count": self.gpu_count,
            "process_index": jax.process_index(),
            "process_count": jax.process_count(),
            "cpu_count": whole_cores(),
            "jax_version": jax.__version__,
            "jaxlib_version": metadata.version("jaxlib"),
            "platform_version": jax.devices()[0].client.platform_version,
            "devices": [_describe(device) for device in jax.local_devices()],
        }

    def get_default_device(self) -> Device:
        """The device that arrays are put on unless told otherwise."""
        chosen = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]  (made at run time)
        if chosen is None:
            return jax.local_devices()[0]
        return jax.local_devices(backend=chosen)[0] if isinstance(chosen, str) else chosen

    @property
    def has_gpu(self) -> bool:
        """Whether JAX's backend has a GPU."""
        return self.gpu_count > 0

    @property
    def gpu_count(self) -> int:
        """GPUs of all processes."""
        return sum(device.platform == "gpu" for device in jax.devices())


def _describe(device: Device) -> dict[str, Any]:
    memory = device.memory_stats() or {}
    return {
        "id": device.id,
        "platform": device.platform,
        "kind": device.device_kind,
        "memory_bytes": memory.get("bytes_limit"),
        "memory_in_use_bytes": memory.get("bytes_in_use"),
    }
