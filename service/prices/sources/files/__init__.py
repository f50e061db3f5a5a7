"""The price source `files:DIR`: finds, reads and serves the price files of a folder."""

from service.prices.sources.files.source import FilesSource

__all__ = ["FilesSource"]
