"""Many rows at once: arrays, INSERT and binary COPY."""
