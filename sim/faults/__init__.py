"""What can break in flight, when it breaks, and what it does."""
