"""Daily bars over HTTP."""
