"""The skill figure: track records of each forecaster compared with the random walk."""
