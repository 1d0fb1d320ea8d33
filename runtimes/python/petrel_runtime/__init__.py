"""The Python runtime: supervisor and loader in one process. Nothing outside the standard library."""
