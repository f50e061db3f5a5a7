"""The archive of weights: a round trip, and crafted archives are refused before an array is made."""

import io
import zipfile
from collections.abc import Mapping

import numpy as np
import pytest

from models.forecasting.weight_archive import pack_weights, unpack_weights


def header(shape: str, descr: str = "<f4") -> bytes:
    """Return the bytes of an array's header, version 1."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def archive(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive of given members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, body in members.items():
            file.writestr(name, body)
    return buffer.getvalue()


GOOD = header("(2,)") + np.array([1.5, -2.0], np.float32).tobytes()


def test_round_trip_keeps_shape_and_values() -> None:
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    weights = {3: {"kernel": kernel, "transposed": np.asfortranarray(kernel)}, 7: {"bias": np.float32(2.5).reshape(())}}
    read = unpack_weights(pack_weights(weights))
    assert sorted(read) == [3, 7]
    np.testing.assert_array_equal(read[3]["kernel"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(read[3]["transposed"], [[0, 1, 2], [3, 4, 5]])
    assert read[7]["bias"] == 2.5
    assert read[3]["kernel"].flags.writeable


def test_an_array_is_read_from_its_bytes() -> None:
    assert unpack_weights(archive({"seed0.bias.npy": GOOD}))[0]["bias"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    "name", ["../seed0.bias.npy", "/etc/passwd", "seed0.bias", "seed0./x.npy", "seed0..npy", "a.npy"]
)
def test_a_member_of_another_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no array of a seed"):
        unpack_weights(archive({name: GOOD}))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (header("(1000000000000,)"), "does not have 0 bytes"),
        (header("(4294967296, 4294967296, 4294967296)"), "does not have 0 bytes"),
        (header("(-2,)") + b"\0" * 8, "does not have 8 bytes"),
        (header("(1,)") + b"\0" * 8, "does not have 8 bytes"),
        (header("(1,)", "|O") + b"\0" * 8, "holds object"),
        (header("(1,)", "<f8") + b"\0" * 8, "holds float64"),
        (header("(2,)") + np.array([np.nan, 1], np.float32).tobytes(), "not finite"),
        (header("(2,)") + np.array([np.inf, 1], np.float32).tobytes(), "not finite"),
        (b"\x93NUMPY\x09\x00" + GOOD[8:], "version"),
        (b"not an array", "magic"),
        (b"", "magic"),
    ],
)
def test_a_crafted_array_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unpack_weights(archive({"seed0.bias.npy": body}))


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_member_is_refused_before_it_is_unpacked(compression: int) -> None:
    bomb = archive({"seed0.bias.npy": b"\0" * (50 << 20)}, compression)
    assert len(bomb) < 1 << 20
    with pytest.raises(ValueError, match="is compressed"):
        unpack_weights(bomb)


def test_two_members_of_one_name_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("seed0.bias.npy", GOOD)
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("seed0.bias.npy", GOOD)
    with pytest.raises(ValueError, match="two members of one name"):
        unpack_weights(buffer.getvalue())


@pytest.mark.parametrize("body", [b"", b"PK", b"PK\x03\x04" + b"\0" * 40, b"no archive at all"])
def test_what_is_no_archive_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not an archive"):
        unpack_weights(body)


def test_a_cut_archive_is_refused_and_a_flipped_byte_is_refused_or_changes_a_number() -> None:
    """Any other error would stop a forecast run."""
    whole, numbers = archive({"seed0.bias.npy": GOOD}), 0
    for position in range(len(whole)):
        with pytest.raises(ValueError, match="not an archive"):
            unpack_weights(whole[:position])
        flipped = bytearray(whole)
        flipped[position] ^= 0xFF
        try:
            weights = unpack_weights(bytes(flipped))
        except ValueError:
            continue
        numbers += 1
        assert [(seed, list(arrays)) for seed, arrays in weights.items()] == [(0, ["bias"])]
        assert weights[0]["bias"].shape == (2,)
    assert 0 < numbers < len(whole)
