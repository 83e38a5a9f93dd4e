"""From PyTorch: how exported programs are walked; ``ops`` has the rules."""
