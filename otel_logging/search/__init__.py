"""Finding records again: one query, one record shape, one back end a file.

Nothing in this room imports OpenTelemetry: a search must start as fast as a bare Python process.
"""
