"""The whole conversion: source, graph, passes, verification, model file, speed; and its command."""
