"""How a process starts and ends: set-up, entry-point hooks, `run`, process ends, what applications do to `logging`."""
