"""What becomes an event: each module looks at one kind of change, inside the transaction that publishes it."""
