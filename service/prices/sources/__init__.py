"""Price sources: Yahoo, folders of files, and the bundled sample."""
