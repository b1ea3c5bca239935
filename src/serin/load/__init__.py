"""A stream of requests to one address, and what became of them.

    plan      what is sent, when: steady, Poisson, or as fast as answers come; all of it from a seed     (pure)
    images    bodies from the Fashion-MNIST test images
    client    one request over HTTP/1.1: h11 on asyncio's streams, at a fifth of httpx2's cost
    feedback  the true label of what was predicted, told after a delay
    latency   quantiles in constant memory                                                               (pure)
    report    counts, errors by kind, latency, share by version                                          (pure)
    stream    sends it and keeps count: `await run(plan)`, or `Load` for one that goes on until it is stopped

Nothing is ever sent to any address but those given: redirects are not followed, proxies of the environment not used.
"""
