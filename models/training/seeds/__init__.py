"""Training of a network's seeds: one after another, batched, or at the same time in processes of their own."""
