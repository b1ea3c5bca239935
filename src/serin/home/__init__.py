"""The local home: one folder, one daemon that owns it, and whoever talks to it over its socket.

    paths         where things are in a home's folder; which folder when none is named
    folder        makes and checks the folder; the lock that says whose it is
    control_socket  the unix socket, however long the folder's path
    lifecycle     up, down, status: what the command line calls
    daemon        the composition root: objects, supervisor, gateway, scraper, engine, server, as parts
    parts         keeps each part going, and says how it is
    server, rest  HTTP on the socket: Kubernetes-like objects, apply, status, logs, down
    client        the port `Objects` over that socket, for the command line
    wire          what server and client agree on
    log           the daemon's own log

`python -m serin.home` is the daemon; nothing else in here runs by itself.
"""
