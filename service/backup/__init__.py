"""Backups: the database with its model artifacts in one archive, and their restoration."""
