"""Spatiotemporal networks over sequences of frames, in Keras and in NumPy."""
