"""Model versions, approvals and artifacts."""
