"""The REST API: reads what is stored and answers with it; computes no forecast."""
