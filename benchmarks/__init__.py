"""What otel-logging costs, as ratios within one run, against the budgets in `budgets.toml`.

    python -m benchmarks [--json FILE] [--only PART] [--rounds N]

One module a topic: each is run in processes of its own and prints its figures as JSON. `measure` has what they share.
Nothing in here is needed to use or test the product.
"""
