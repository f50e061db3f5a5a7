"""The scheduler: what is due by the market calendars, who may do it, and the loop that does it."""
