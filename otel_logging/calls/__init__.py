"""Which call is this: the `Call`, its trace, and the carriers that name it. Import the modules; nothing loads here."""
