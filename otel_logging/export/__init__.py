"""Where records go: the console, OTLP and the local store. Formats and delivery; no decisions about what is kept."""
