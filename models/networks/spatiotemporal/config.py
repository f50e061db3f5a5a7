"""The size of a network over frames, and how its maps are halved on the way in."""

from dataclasses import dataclass

SMALLEST_MAP = 16
"""Cells at or below which an encoder's map is halved no further."""

MOST_HALVINGS = 4
"""Times an encoder halves its maps, at most."""

LAYOUTS = ("channels_last", "channels_first")
"""Where the channels of a frame may stand."""


@dataclass(frozen=True, slots=True)
class SpatiotemporalSpec:
    """What a network over frames needs to be built.

    Attributes:
        frames: Frames in, oldest first; for the market the lookback in sessions.
        rows: Rows of a frame; for the market its symbols.
        columns: Columns of a frame; for the market its inputs per session.
        channels: Numbers per cell.
        units: Width of the recurrent layer, and filters of `conv_lstm`.
        horizon: Frames or steps out; any number, whatever `frames` is.
        seed: Seed of the starting weights and of the noise in training.
        layout: `channels_last`, `(rows, columns, channels)`, or `channels_first`, `(channels, rows, columns)`;
            the latter for plain frames alone.

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
                raise ValueError(f"a network over frames needs {name} of at least 1, received {getattr(self, name)}")
        if self.layout not in LAYOUTS:
            raise ValueError(f"frames have no layout {self.layout!r}; choose one of: {', '.join(LAYOUTS)}")

    @property
    def filters(self) -> int:
        """Filters of the first convolution of an encoder: an eighth of the units, 8 at least."""
        return max(8, self.units // 8)

    @property
    def halvings(self) -> tuple[tuple[int, int], ...]:
        """Strides `(rows, columns)` of the encoder's further convolutions; an axis of 1 is not halved.

        The decoder goes the same way back.
        """
        strides: list[tuple[int, int]] = []
        rows, columns = self.rows, self.columns
        while rows * columns > SMALLEST_MAP and len(strides) < MOST_HALVINGS:
            stride = (min(rows, 2), min(columns, 2))
            rows, columns = -(-rows // stride[0]), -(-columns // stride[1])
            strides.append(stride)
        return tuple(strides)

    @property
    def maps(self) -> tuple[tuple[int, int], ...]:
        """`(rows, columns)` of the encoder's maps, from the whole frame to the smallest."""
        sizes = [(self.rows, self.columns)]
        for down, across in self.halvings:
            rows, columns = sizes[-1]
            sizes.append((-(-rows // down), -(-columns // across)))
        return tuple(sizes)

    @property
    def columns_as_channels(self) -> "SpatiotemporalSpec":
        """The market's frames as the convolutions see them: one column, its inputs as channels.

        Symbols that stand side by side move together, so a kernel over rows means something; the order of
        the inputs means nothing, so no kernel slides over them.

        Raises:
            ValueError: The layout is not `channels_last`.
        """
        if self.layout != "channels_last":
            raise ValueError(f"market frames are channels_last, received {self.layout!r}; turn plain frames alone")
        channels = self.columns * self.channels
        return SpatiotemporalSpec(self.frames, self.rows, 1, channels, self.units, self.horizon, self.seed)
