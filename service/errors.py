"""The errors of the service, drawn as one tree.

TplusError                  a clear sentence: what, where, what to do
├── SettingsError           a setting that cannot be used
├── DatabaseError           the database is absent, of another kind, or at another migration
│   └── StampMismatch       a database of another source or clock mode
├── CalendarError           a calendar that does not exist
├── PortInUse               the API's address is taken
├── FencedError             this worker lost its lease: its work is thrown away
├── NotYet                  the data asked for does not exist yet
├── NotFound                no such symbol, model version or run
└── SourceError             a price source failed (service/prices/sources/base.py draws its branches)
"""


class TplusError(Exception):
    """Base of every error that is told to a person as one sentence."""


class SettingsError(TplusError):
    """A setting cannot be used; the sentence names it, its value and what is allowed."""


class DatabaseError(TplusError):
    """The database is absent, of another kind, or at another migration."""


class StampMismatch(DatabaseError):
    """The database belongs to another source or clock mode."""


class CalendarError(TplusError):
    """A calendar named by hand does not exist."""


class PortInUse(TplusError):
    """The API's address is taken by another process."""


class FencedError(TplusError):
    """This worker's lease ran out and another took over: nothing it made is written."""


class NotYet(TplusError):
    """What is asked for does not exist yet; the sentence says when it may."""


class NotFound(TplusError):
    """There is no such symbol, model version or run."""


class SourceError(TplusError):
    """A price source failed; its branches stand in service/prices/sources/base.py."""
