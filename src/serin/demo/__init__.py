"""The article's main job, played on this machine with the real parts, narrated in few lines.

`scenarios` says which plays there are, `stage` sets up and runs the commands that a person would type, `play` is the
play itself, `audience` sends the requests, `report` says what it was. The demo uses the example's own files as they
are; it decides nothing and shortens nothing.
"""
