"""From prices to windows: features, scaling, reference series and splits."""
