"""Django: streams as one writes them by hand from the docs, and ours with everything on."""
