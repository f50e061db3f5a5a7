"""The errors of the service, as a tree.

TplusError                  a clear sentence: what, where, what to do
├── SettingsError           an invalid setting
├── DatabaseError           the database is missing, of another kind, or at another migration
│   └── StampMismatch       a database of another source or clock mode
├── LedgerError             an export, a head file or a backup cannot be read or written
├── CalendarError           a calendar that does not exist
├── NoValidKey              other machines could reach the API, and no key is valid
├── PortInUse               the API's address is in use
├── FencedError             this worker lost its lease: its result is discarded
├── NotYet                  the requested data do not exist yet
├── NotFound                an unknown symbol, model version or run
└── SourceError             a price source failed (subclasses in service/prices/sources/base.py)
"""


class TplusError(Exception):
    """Base of every error that is shown to a person as one sentence."""


class SettingsError(TplusError):
    """A setting is invalid; the message gives its name, its value and what is allowed."""


class DatabaseError(TplusError):
    """The database is missing, of another kind, or at another migration."""


class StampMismatch(DatabaseError):
    """The database belongs to another source or clock mode."""


class LedgerError(TplusError):
    """An export of the ledger, a file of heads or a backup cannot be read or written."""


class CalendarError(TplusError):
    """A named calendar does not exist."""


class NoValidKey(TplusError):
    """Other machines could reach the API, and the database has no valid key."""


class PortInUse(TplusError):
    """The API's address is in use by another process."""


class FencedError(TplusError):
    """This worker's lease expired and another took over: its result is discarded."""


class NotYet(TplusError):
    """The requested data do not exist yet; the message says when they may."""


class NotFound(TplusError):
    """There is an unknown symbol, model version or run."""


class SourceError(TplusError):
    """A price source failed; its subclasses are in service/prices/sources/base.py."""
