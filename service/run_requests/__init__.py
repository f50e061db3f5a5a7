"""Run requests: what a client or a command wants the scheduler to do."""
