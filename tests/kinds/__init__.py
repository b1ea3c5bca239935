"""Every kind of experiment in a real home: real Envoy, real processes, real requests.

One home serves all tests; each plays in a namespace of its own, with its own host.

shop     the program behind the versions: answers, counts what it sells, and shows it on a metrics page
place    one namespace: its objects, its experiment, its visitors
"""
