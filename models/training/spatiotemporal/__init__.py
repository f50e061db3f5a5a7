"""Training of networks over images of the whole market."""
