"""The two hash chains of the ledger: read, verify, export, and record their heads outside the database."""
