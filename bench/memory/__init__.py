"""Bytes that a network takes: its file, its packed weights, and working memory."""
