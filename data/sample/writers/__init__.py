"""The writers of the sample data: one module per task, and the tools they share."""
