"""A Django project for the adapter's tests: a database with one table, and the usual middleware."""
