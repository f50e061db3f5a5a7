"""The device that trains: chosen by a setting, checked before training, recorded with the artifact.

A framework that cannot use a GPU falls back to the CPU without an error. So what it uses is read from it, and a GPU
that is not used is an error or a warning.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from models.errors import DeviceError

_log = logging.getLogger(__name__)


class Device(StrEnum):
    """Choice of the device: a GPU if the framework can use one, always the CPU, or a GPU and nothing else."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


@dataclass(frozen=True, slots=True)
class Compute:
    """Where a training runs.

    Attributes:
        device: The device.
        processes: Most processes that train seeds at the same time; 1 = all in this process; None = by cores and
            memory.
    """

    device: Device = Device.AUTO
    processes: int | None = 1


THIS_PROCESS = Compute()
"""One seed after another in this process, on a GPU if there is one."""


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """What a training ran on.

    Attributes:
        kind: `cpu` or `gpu`.
        name: Name of the GPU; empty for a CPU.
        backend: Keras backend and its version, for example `tensorflow 2.21.0`.
        note: A warning about the device, else empty.
    """

    kind: str
    name: str
    backend: str
    note: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return it as plain data."""
        return asdict(self)


@lru_cache
def use_device(device: Device) -> DeviceUse:
    """Choose the device for this process, once; imports the framework. Call it before anything is computed.

    Returns:
        What the framework will use.

    Raises:
        DeviceError: A GPU is required and the framework finds none, or the backend of Keras is not installed.
    """
    try:
        import keras
    except (ImportError, ValueError) as error:  # not installed, or a name that Keras does not know
        raise DeviceError(
            f"Keras cannot start ({error}); install its backend (the extra tf or jax), or set KERAS_BACKEND to the one "
            "that is installed"
        ) from error
    backend = str(keras.backend.backend())
    if backend == "jax":
        version, name = _use_jax(device)
    elif backend == "tensorflow":
        version, name = _use_tensorflow(device)
    else:
        raise DeviceError(f"KERAS_BACKEND={backend} cannot train here; set KERAS_BACKEND to tensorflow or jax")
    use = device_use(device, f"{backend} {version}", name, machine_gpus())
    if use.note:
        _log.warning(use.note)
    return use


def device_use(device: Device, backend: str, gpu: str | None, on_machine: int) -> DeviceUse:
    """Return what a training will run on, from what a framework found.

    Args:
        device: The choice.
        backend: Name and version of the framework.
        gpu: Name of the GPU that the framework uses; None = it uses the CPU.
        on_machine: GPUs of the machine, whether the framework can use them or not.

    Raises:
        DeviceError: A GPU is required and the framework uses none.
    """
    if gpu is not None and device is not Device.CPU:
        return DeviceUse("gpu", gpu, backend)
    seen = f"{backend} finds no GPU that it can use; the machine has {on_machine or 'none'}"
    help_text = "install the framework with CUDA (requirements/gpu.txt) and NVIDIA's driver"
    if device is Device.GPU:
        raise DeviceError(f"TPLUS_DEVICE=gpu, but {seen}; {help_text}, or set TPLUS_DEVICE to auto or cpu")
    if device is Device.AUTO and on_machine:
        return DeviceUse("cpu", "", backend, f"trained on the CPU: {seen}; {help_text}, or set TPLUS_DEVICE=cpu")
    return DeviceUse("cpu", "", backend)


def machine_gpus(root: Path = Path("/")) -> int:
    """Return the number of NVIDIA GPUs for which the system has a device file.

    Args:
        root: Root of the file system.
    """
    return len([path for path in root.glob("dev/nvidia*") if path.name.removeprefix("nvidia").isdigit()])


def _use_tensorflow(device: Device) -> tuple[str, str | None]:
    """Return TensorFlow's version and the name of its first GPU; hide its GPUs if the CPU is to be used."""
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return tf.__version__, None
    if device is Device.CPU:
        tf.config.set_visible_devices([], "GPU")
        return tf.__version__, None
    return tf.__version__, str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name))


def _use_jax(device: Device) -> tuple[str, str | None]:
    """Return JAX's version and the name of its first GPU; keep off its GPUs if the CPU is to be used."""
    import jax

    if device is Device.CPU:
        set_option: Callable[[str, object], None] = jax.config.update
        set_option("jax_platforms", "cpu")
        set_option("jax_default_device", jax.devices("cpu")[0])
        return jax.__version__, None
    first = jax.devices()[0]
    return jax.__version__, None if first.platform == "cpu" else str(first.device_kind)
