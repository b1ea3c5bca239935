"""Deployments as processes: what a cluster's controllers and its kubelet do, on one machine.

A Deployment becomes Pod objects in the store, and each Pod one process on a loopback address of its own.

    pods          a Deployment and its Pods -> which Pods to create and to delete                    (pure)
    conditions    what is known of a Pod's process -> its status, its Deployment's, what troubles it (pure)
    commands      a container and its image -> command line, environment, folder
    images        the images file: which command stands behind an image's name
    preparation   a Pod -> what is started and probed for it, or why it cannot be
    addresses     the home's own subnet of 127.0.0.0/8, and who listens where
    probe         one look at a process: HTTP, TCP, a command; and when looks add up to a verdict
    watch         the looks at one run of a process: startup, readiness, liveness
    logs          what a process prints, in files of bounded size
    process       one process, its group and its end; `launch` is the first thing that runs in it
    leftovers     what a dead home left behind, and its end; `undertaker` sees to it at once
    publisher     keeps a Pod's stored status as the Pod is
    pod           one Pod's life: start, restarts, the graceful end
    supervisor    watches the objects and keeps all of that going; `ground` is what all Pods stand on

A child never outlives its home: the kernel ends it with the home's main thread (so it is started from there), the
undertaker ends what it had started itself, and the next home ends whatever is left.
"""
