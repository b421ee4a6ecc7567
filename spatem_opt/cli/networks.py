"""``spatem networks``: the shipped networks."""

from __future__ import annotations

from typing import Any

import typer

from spatem_opt.cli.common import AsJson, show, show_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("networks")(networks)


def networks(as_json: AsJson = False) -> None:
    """List the shipped networks: layers, weights, operations, source.

    \b
    spatem networks
    spatem networks --json
    """
    from rich import box
    from rich.table import Table

    from spatem_opt import network as library
    from spatem_opt.network.stats import summary

    rows: list[dict[str, Any]] = []
    for name in library.names():
        network = library.load(name)
        shapes = [[n.channels, n.height, n.width] for n in network.nodes if n.kind == "input"]
        rows.append({"name": name, "inputs": shapes, **summary(network), "source": network.source})
    if as_json:
        show_json({"networks": rows})
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for head in ("input", "crossbar layers", "weights", "MACs"):
        table.add_column(head, justify="right")
    table.add_column("source", style="dim")
    for row in rows:
        inputs = ", ".join("x".join(map(str, shape)) for shape in row["inputs"])
        table.add_row(
            row["name"], inputs, str(row["layers"]), f"{row['parameters']:,}", f"{row['macs']:,}", row["source"]
        )
    show(table)
