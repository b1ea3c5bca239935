"""The composition root of the controller in a cluster: what it is made of, in which order it starts and ends."""
