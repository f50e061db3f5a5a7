"""The scheduler: plans runs by the market calendars, elects a leader, and executes the runs."""
