"""Moving traffic: the port (`router`), and the desired objects of each kind of router from pure functions."""
