"""The REST API: answers with stored rows; computes no forecast."""
