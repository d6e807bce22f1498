"""Errors, files, paths, devices, and logging."""
