"""Kills its own process at the n-th write of an experiment's objects, before or after it is stored.

Python imports this at its start when the folder is on PYTHONPATH. Without `SURVIVAL_DIE` it does nothing.

    SURVIVAL_DIE     file with `N before` or `N after`
    SURVIVAL_DIED    file to which a line is added about the write that was the last
"""

import os

if os.environ.get("SURVIVAL_DIE"):
    import json
    import signal
    import sqlite3

    KINDS = ("Experiment", "VirtualService", "DestinationRule")

    class Dying(sqlite3.Connection):
        """Counts the commits of objects that an experiment is about."""

        written = None
        left, when = None, "after"

        def execute(self, statement, values=(), /):
            if statement.startswith(("INSERT INTO objects", "UPDATE objects")):
                obj = json.loads(next(v for v in values if isinstance(v, str) and v.startswith("{")))
                self.written = obj if obj["kind"] in KINDS else None
            if statement != "COMMIT" or self.written is None:
                return super().execute(statement, values)
            if self.left is None:
                with open(os.environ["SURVIVAL_DIE"]) as file:
                    number, self.when = file.read().split()
                    self.left = int(number)
            self.left -= 1
            if self.left == 0 and self.when == "before":
                self.die()
            done = super().execute(statement, values)
            if self.left == 0:
                self.die()
            self.written = None
            return done

        def die(self):
            state = (self.written.get("status") or {}).get("analysisState") or {}
            ending = " ending" if state.get("ending") else ""
            with open(os.environ["SURVIVAL_DIED"], "a") as file:
                file.write(f"{self.when} {self.written['kind']}{ending}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    connect = sqlite3.connect
    sqlite3.connect = lambda *words, **options: connect(*words, factory=Dying, **options)
