"""Kills its own process at the n-th write of an experiment's objects, before or after it is stored.

Python imports this at its start when the folder is on PYTHONPATH. Without `SURVIVAL_DIE` it does nothing.

    SURVIVAL_DIE     file with `N before` or `N after`, and the kinds that count if not all of them do
    SURVIVAL_DIED    file to which a line is added about the write that was the last
"""

import os

if os.environ.get("SURVIVAL_DIE"):
    import json
    import signal
    import sqlite3

    ALL = ["Experiment", "VirtualService", "DestinationRule"]

    class Dying(sqlite3.Connection):
        """Counts the commits of objects that an experiment is about."""

        written = None
        left, when, kinds = None, "after", ALL

        def execute(self, statement, values=(), /):
            if statement.startswith(("INSERT INTO objects", "UPDATE objects")):
                obj = json.loads(next(v for v in values if isinstance(v, str) and v.startswith("{")))
                self.written = obj if obj["kind"] in ALL else None
            if statement != "COMMIT" or self.written is None:
                return super().execute(statement, values)
            if self.left is None:
                with open(os.environ["SURVIVAL_DIE"]) as file:
                    number, self.when, *kinds = file.read().split()
                    self.left, self.kinds = int(number), kinds or ALL
            self.left -= self.written["kind"] in self.kinds
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
