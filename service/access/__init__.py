"""Who may do what: API keys with scopes, and the sessions of the page."""
