"""Corporate actions and adjusted closes."""
