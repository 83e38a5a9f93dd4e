"""Drawing of masked faces: where everything lies (geometry), what it looks like (look), and the brush (paint)."""
