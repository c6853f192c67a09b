"""Things that yield parts. Each module imports what it needs, when it is imported."""
