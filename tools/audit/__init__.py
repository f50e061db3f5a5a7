"""`make audit`: vulnerabilities, licences, secrets, and a list of what is installed."""
