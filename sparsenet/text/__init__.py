"""What people and programs read: tables, JSON, and one line of whatever a file calls things."""
