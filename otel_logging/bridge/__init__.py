"""From the standard library's record to OTel's: gate, pipeline, translation, handler, sampling processor, books."""
