"""Carries out run requests, one transaction each."""
