"""The size of a spatiotemporal network, and the sizes of its encoder's feature maps."""

from dataclasses import dataclass

MIN_MAP_CELLS = 16
"""Number of cells at or below which a feature map is not halved further."""

MAX_HALVINGS = 4
"""Maximum number of halvings of an encoder."""

LAYOUTS = ("channels_last", "channels_first")
"""Positions of the channel axis of a frame."""


@dataclass(frozen=True, slots=True)
class SpatiotemporalSpec:
    """Size, seed and layout of one spatiotemporal network.

    Attributes:
        frames: Number of input frames, oldest first; for a market the lookback in sessions.
        rows: Rows of a frame; for a market its symbols.
        columns: Columns of a frame; for a market its inputs per session.
        channels: Numbers per cell.
        units: Width of the recurrent layer, and filters of `conv_lstm`.
        horizon: Number of output frames or steps, independent of `frames`.
        seed: Seed of the initial weights and of the noise in training.
        layout: `channels_last`, `(rows, columns, channels)`, or `channels_first`, `(channels, rows, columns)`;
            the latter only for image frames.

    Raises:
        ValueError: A size is below 1, or the layout is unknown.
    """

    frames: int
    rows: int
    columns: int
    channels: int
    units: int
    horizon: int
    seed: int = 0
    layout: str = "channels_last"

    def __post_init__(self) -> None:
        for name in ("frames", "rows", "columns", "channels", "units", "horizon"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"a spatiotemporal network needs {name} of at least 1, received {getattr(self, name)}; raise it"
                )
        if self.layout not in LAYOUTS:
            raise ValueError(f"unknown layout of frames {self.layout!r}; choose one of: {', '.join(LAYOUTS)}")

    @property
    def filters(self) -> int:
        """Filters of the first convolution of an encoder: an eighth of the units, at least 8."""
        return max(8, self.units // 8)

    @property
    def halvings(self) -> tuple[tuple[int, int], ...]:
        """Strides `(rows, columns)` of the encoder's further convolutions; an axis of 1 is not halved.

        The decoder uses the same strides in reverse order.
        """
        strides: list[tuple[int, int]] = []
        rows, columns = self.rows, self.columns
        while rows * columns > MIN_MAP_CELLS and len(strides) < MAX_HALVINGS:
            stride = (min(rows, 2), min(columns, 2))
            rows, columns = -(-rows // stride[0]), -(-columns // stride[1])
            strides.append(stride)
        return tuple(strides)

    @property
    def maps(self) -> tuple[tuple[int, int], ...]:
        """Sizes `(rows, columns)` of the encoder's feature maps, from the whole frame to the smallest."""
        sizes = [(self.rows, self.columns)]
        for down, across in self.halvings:
            rows, columns = sizes[-1]
            sizes.append((-(-rows // down), -(-columns // across)))
        return tuple(sizes)

    @property
    def columns_as_channels(self) -> "SpatiotemporalSpec":
        """Spec of market images for the convolutions: one column, with the inputs as channels.

        Neighbouring symbols move together, so a convolution over rows is meaningful; the order of the inputs has no
        meaning, so there is no convolution over them.

        Raises:
            ValueError: The layout is not `channels_last`.
        """
        if self.layout != "channels_last":
            raise ValueError(f"market images are channels_last, received {self.layout!r}; transpose only image frames")
        channels = self.columns * self.channels
        return SpatiotemporalSpec(self.frames, self.rows, 1, channels, self.units, self.horizon, self.seed)
