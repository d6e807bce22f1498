"""What steps and notebooks cost: timed side by side with other implementations, in one process."""
