"""The kubelet's place: takes every Pod, runs the process that stands for its image, and tells how it is.

agent    watches the Pods and gives each a life
pod      one Pod's life: bound, started, probed, started again, ended
logs     `kubectl logs`
status   what is known of a Pod's process -> its status                              (pure)
cluster  the few requests that a kubelet makes
ground   what all Pods of the node stand on
"""
