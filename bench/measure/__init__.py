"""How every command measures: its options, what counts as agreement, turns, other load, and how results leave it."""
