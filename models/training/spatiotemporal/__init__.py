"""Training of spatiotemporal networks: their input is a sequence of images of the whole market."""
