"""Where alerts go: rules for addresses and URLs, signed webhooks, Apprise."""
