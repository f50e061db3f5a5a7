"""The parts of a running service: settings, database, clock and reporter."""
