"""The errors of `models`, as a tree.

ModelsError
├── PriceHistoryError  a price history, a panel or other arrays that do not fit each other
├── TooLittleHistory   not enough sessions to train, test or forecast
├── ArtifactError      an artifact that is missing, altered or of another format
├── BatchError         a batch whose size is not that of the stored states
├── DeviceError        no device of the kind that a training must use
├── SeedProcessDied    a process that trained a seed failed or ended
└── UnknownNetwork     a network or baseline name that is not registered
"""


class ModelsError(Exception):
    """Base class of every error that `models` raises on purpose."""


class PriceHistoryError(ModelsError):
    """A price history or panel is invalid: its order, its shapes or the sign of its prices."""


class TooLittleHistory(ModelsError):
    """There are not enough sessions to train, test or forecast."""


class ArtifactError(ModelsError):
    """An artifact is absent, altered, or of a format that this version cannot read."""


class BatchError(ModelsError):
    """A stateful network received a batch whose size is not that of its states."""


class UnknownNetwork(ModelsError):
    """A network or baseline name is not registered."""


class DeviceError(ModelsError):
    """The framework cannot use a device of the kind that a training must use."""


class SeedProcessDied(ModelsError):
    """A process that trained a seed failed or ended (killed, out of memory); a retry may succeed."""
