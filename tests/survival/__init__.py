"""What an experiment must survive, on the real parts: a home as `serin up` starts it, Envoy, processes, load.

answer       the program that plays a model: fast, and as slow, faulty or stubborn as its arguments say
manifests    the objects of the stage, as a person would write them
house        one home: up, down, killed; what it says; and that nothing of it is left
story        all that the home said while a test ran, and what must hold of it whatever happened
wire         the weights that Envoy really has, looked at all the time
traffic      a stream of requests that can be stopped and asked
dying        a `sitecustomize` that kills the home at the n-th write of an experiment, before or after it
"""
