"""How decisions go: every rule judged on the same simulated experiments, thousands of times.

    python -m benchmarks.decisions --short                  200 replications of each case
    python -m benchmarks.decisions --scenario S1,S4 -o json
    python -m benchmarks.decisions --write                  2,000 of each, and the tables of docs/guarantees.md

    readings     what a batch of simulated experiments shows: increments of counters, look by look
    traffic      how requests, errors and latencies come about: the parts that scenarios are made of
    generators   one function a scenario
    scenarios    the cases: a generator, the criteria, and whether the candidate is good, bad or exactly at its limit
    ours         the real engine on these readings, one experiment after the other
    peers        the rules of other tools, each from its documents, over all experiments of a batch at once
    loop         the same where the split follows the rule
    bounds       how fast any rule could be
    verdicts, measures, targets    what is counted of them
    run, report  in parallel, and as tables

Nothing here is tuned: the engine runs with its constants, the peers with the settings that their documents show.
"""
