"""Resource: alert subscriptions."""
