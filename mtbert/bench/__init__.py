"""What it costs: training steps timed side by side with their peers."""
