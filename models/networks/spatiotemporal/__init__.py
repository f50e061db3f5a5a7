"""Networks over images of the whole market, in Keras and in NumPy."""
