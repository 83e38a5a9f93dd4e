"""Text for people and programs: tables, JSON, and names from files made fit for one line."""
