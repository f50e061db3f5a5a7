"""The heads of the ledger's hash chains."""
