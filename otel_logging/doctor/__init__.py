"""What `otel-logging doctor` looks at, from the application's side: one room, as each check is of use without the verb.

    finding       one verdict with its cure
    process       settings, boot hooks, policies: what an application started from here would get
    disk          the store and what waits in the spool
    endpoint      from the endpoint's URL to who answers there: name, connection, TLS, protocol, clock
    roundtrip     a record that is really sent, and what can be proved of its way
    collector     what a running Collector tells of itself: health, internal metrics, file output
    config_tree   Collector configurations as YAML that remembers lines
    config_keys   keys that have another name now, or are gone
    config_traps  what loads and yet loses records or gives secrets away
    examination   the order of all that

Nothing here prints, and nothing changes anything but for the one record that is sent. Imported only by the verb: the
application side does not know this room.
"""
