"""Commands for access: keys and the audit."""
