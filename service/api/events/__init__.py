"""What streams live to clients: one watcher per process reads the database, a hub hands its events on."""
