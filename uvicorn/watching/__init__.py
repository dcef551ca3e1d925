"""What a worker knows of itself: its numbers, what it warns of, and how others ask for both."""
