"""The device manager says what JAX says, and nothing it does not know."""

import jax

from artifex.core import DeviceManager


def test_info_is_what_jax_says():
    info = DeviceManager().get_device_info()
    assert info["backend"] == jax.default_backend()
    assert info["jax_devices"] == jax.devices()
    assert info["device_count"] == len(jax.devices())
    assert info["jax_version"] == jax.__version__
    assert info["cpu_count"] >= 1
    assert [device["kind"] for device in info["devices"]] == [device.device_kind for device in jax.local_devices()]


def test_unknown_memory_is_none():
    for device, said in zip(jax.local_devices(), DeviceManager().get_device_info()["devices"], strict=True):
        if device.memory_stats() is None:
            assert said["memory_bytes"] is None
            assert said["memory_in_use_bytes"] is None


def test_default_device_follows_jax():
    manager = DeviceManager()
    assert manager.get_default_device() == jax.devices()[0]
    with jax.default_device(jax.devices()[-1]):
        assert manager.get_default_device() == jax.devices()[-1]
    with jax.default_device("cpu"):
        assert manager.get_default_device().platform == "cpu"


def test_gpus():
    manager = DeviceManager()
    assert manager.gpu_count == len([device for device in jax.devices() if device.platform == "gpu"])
    assert manager.has_gpu == (manager.gpu_count > 0)
