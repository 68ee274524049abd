"""An imitation of a real voice service, as messy as those are; it is run as the package `server`.

It must not know otel-logging: nothing in this folder may import it, name it, or pass a call around for its sake.
f-strings, prints, emoji, ERROR on healthy paths and a home-made logging set-up are the point, not an oversight.
"""
