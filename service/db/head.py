"""The newest migration, as a constant: the API compares it without loading the migration tool."""

HEAD = "0004"
