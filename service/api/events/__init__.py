"""Live events: one watcher per process reads the database, a hub sends its events to clients."""
