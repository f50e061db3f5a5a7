"""Features, scaling, reference series, windows and splits, made from prices."""
