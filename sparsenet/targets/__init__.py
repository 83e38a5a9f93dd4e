"""What networks run on. ``registry`` has every kernel of every target; each target has a folder of its own."""
