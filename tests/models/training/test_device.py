"""What a framework found, and the device files of a machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import DeviceError
from models.training.device import Device, device_use, machine_gpus, use_device


def test_a_gpu_is_used_under_auto_and_gpu() -> None:
    for device in (Device.AUTO, Device.GPU):
        use = device_use(device, "jax 0.11", "NVIDIA H100", 1)
        assert use.to_dict() == {"kind": "gpu", "name": "NVIDIA H100", "backend": "jax 0.11", "note": ""}
    assert device_use(Device.CPU, "jax 0.11", None, 1).kind == "cpu"


@pytest.mark.parametrize("on_machine", [0, 2])
def test_gpu_without_a_usable_gpu_is_an_error(on_machine: int) -> None:
    with pytest.raises(DeviceError, match=r"TPLUS_DEVICE=gpu, but tensorflow 2\.21 finds no GPU.*set TPLUS_DEVICE"):
        device_use(Device.GPU, "tensorflow 2.21", None, on_machine)


def test_auto_warns_only_if_the_machine_has_a_gpu() -> None:
    assert device_use(Device.AUTO, "tensorflow 2.21", None, 0).note == ""
    use = device_use(Device.AUTO, "tensorflow 2.21", None, 2)
    assert (use.kind, use.name) == ("cpu", "")
    assert "the machine has 2" in use.note
    assert "set TPLUS_DEVICE=cpu" in use.note
    assert device_use(Device.CPU, "tensorflow 2.21", None, 2).note == ""


def test_gpus_are_counted_by_their_device_files(tmp_path: Path) -> None:
    assert machine_gpus(tmp_path) == 0
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / "dev" / name).touch()
    assert machine_gpus(tmp_path) == 2


def test_this_machine_is_recorded_with_its_backend() -> None:
    use = use_device(Device.CPU)
    assert (use.kind, use.name, use.note) == ("cpu", "", "")
    assert use.backend.startswith("tensorflow 2.")


@pytest.mark.parametrize("backend", ["jax", "theano"])
def test_a_backend_that_is_not_installed_or_unknown_is_a_clear_error(backend: str) -> None:
    words = (
        "from models.training.device import Device, use_device\n"
        "from models.errors import DeviceError\n"
        "import sys; sys.modules['jax'] = None\n"
        "try: use_device(Device.AUTO)\n"
        "except DeviceError as error: print(error)\n"
    )
    variables = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run([sys.executable, "-c", words], env=variables, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.startswith("Keras cannot start")
    assert "set KERAS_BACKEND to the one that is installed" in done.stdout
