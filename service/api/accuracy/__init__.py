"""Track records over HTTP."""
