"""What a running service consists of: settings, database, clock and reporter."""
