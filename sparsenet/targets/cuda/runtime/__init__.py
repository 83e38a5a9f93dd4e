"""The engine on a GPU: device memory, recorded launches, copies to and from it. Imported for device="cuda" alone."""
