"""The errors of `models`, drawn as one tree.

ModelsError
├── FrameError         a frame or panel that breaks its own rules
├── TooLittleHistory   not enough sessions to fit, judge or forecast
├── ArtifactError      an artifact that is absent, altered or of another format
├── BatchError         a batch of another size than states are carried for
└── UnknownNetwork a network or baseline name that nobody registered
"""


class ModelsError(Exception):
    """Base of every error that `models` raises on purpose."""


class FrameError(ModelsError):
    """A frame or panel breaks its own rules (order, shape, sign)."""


class TooLittleHistory(ModelsError):
    """There are not enough sessions to fit, judge or forecast."""


class ArtifactError(ModelsError):
    """An artifact is absent, altered, or of a format that this version cannot read."""


class BatchError(ModelsError):
    """A network that carries states was fed a batch of another size than it carries them for."""


class UnknownNetwork(ModelsError):
    """A network or baseline was asked for by a name that is not registered."""
