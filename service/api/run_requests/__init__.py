"""Run requests over HTTP."""
