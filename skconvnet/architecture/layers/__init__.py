"""The layers on volumes: what each makes of its input, and what it costs."""
