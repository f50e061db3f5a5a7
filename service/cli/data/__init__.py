"""Commands for symbols, prices and the database."""
