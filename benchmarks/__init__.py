"""What otel-logging costs, as ratios within one run, against the budgets in `budgets.toml`.

    python -m benchmarks [--list] [--only TOPIC] [--rounds N] [--runs N] [--quick] [--strict] [--json FILE] [--svg FILE]

One module a topic: each is run in processes of its own and prints its figures as JSON. `measure`, `figures`, `turns`
and `sink` have what they share; `topics` runs them, `rows`, `report` and `chart` are what is made of the figures.
Nothing in here is needed to use or test the product. The libraries it is compared with: `pip install '.[bench]'`.
"""
