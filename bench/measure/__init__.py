"""How every command measures: options, checks, turns, output."""
