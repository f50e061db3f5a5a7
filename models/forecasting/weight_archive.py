"""Packs the weights of all seeds into an npz archive, and reads one that may have been crafted.

The directory of the archive and the header of each array are checked before an array is made. A crafted archive can
therefore neither name a file elsewhere, nor unpack to more bytes than it has, nor contain Python objects.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.lib import format as npy

from models.networks.lstm_numpy import Weights
from models.preprocessing.windows import Float32Array

_MEMBER = re.compile(r"seed(?P<seed>\d{1,9})\.(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]{0,99})\.npy")
_MOST_MEMBERS = 10_000
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def pack_weights(weights: Mapping[int, Weights]) -> bytes:
    """Return the bytes of an archive with the arrays of each seed."""
    buffer = io.BytesIO()
    arrays = {f"seed{seed}.{name}": array for seed, named in weights.items() for name, array in named.items()}
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack_weights(body: bytes) -> dict[int, Weights]:
    """Return the arrays by name of each seed.

    Args:
        body: Bytes of an archive.

    Raises:
        ValueError: It is no archive, or not one that `pack_weights` makes.
    """
    weights: dict[int, Weights] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = archive.infolist()
            _check_directory(members, len(body))
            for member in members:
                found = _MEMBER.fullmatch(member.filename)
                assert found is not None  # as checked
                weights.setdefault(int(found["seed"]), {})[found["name"]] = _read_array(archive, member)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"the weights are not an archive: {error}") from error
    return weights


def _check_directory(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse members that `pack_weights` does not make: nothing of them has been read yet."""
    if len(members) > _MOST_MEMBERS:
        raise ValueError(f"the archive has {len(members)} members, at most {_MOST_MEMBERS} are read")
    names = [member.filename for member in members]
    for member in members:
        if not _MEMBER.fullmatch(member.filename) or member.orig_filename != member.filename:
            raise ValueError(f"the archive has a member {member.filename[:80]!r}, which is no array of a seed")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise ValueError(f"the member {member.filename} is compressed; weights are stored as they are")
    if len(set(names)) != len(names):
        raise ValueError("the archive has two members of one name")
    if sum(member.file_size for member in members) > size:
        raise ValueError("the members of the archive overlap")


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Float32Array:
    """Return one array of finite float32 numbers that fills the rest of its member."""
    file = io.BytesIO(archive.read(member))
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"the array {member.filename} has version {version}, which no weights have")
    shape, fortran_order, dtype = _HEADERS[version](file)
    if dtype != np.float32:
        raise ValueError(f"the array {member.filename} holds {dtype}, weights are float32")
    count, rest = 1, member.file_size - file.tell()
    for length in shape:  # not math.prod of NumPy integers, which wrap around
        count *= int(length)
    if any(length < 0 for length in shape) or count * dtype.itemsize != rest:
        raise ValueError(f"the array {member.filename} of shape {shape} does not have {rest} bytes")
    values: Float32Array = np.frombuffer(file.read(), np.float32, count)
    if not np.isfinite(values).all():
        raise ValueError(f"the array {member.filename} holds numbers that are not finite")
    return values.reshape(shape, order="F" if fortran_order else "C").copy(order="K")
