"""The command line. `cli` imports nothing but the standard library, a command what it needs."""
