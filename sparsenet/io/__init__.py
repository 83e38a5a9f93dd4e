"""Files: the model file and what it is made of, and how files of unknown origin are read."""
