"""`tplus doctor`: examines the service and says what to do."""
