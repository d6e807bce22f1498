"""The writers of the sample data: one module per task, and their shared tools."""
