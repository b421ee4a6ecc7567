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
    from spatem_opt import network as library
    from spatem_opt.network.stats import summary
    from spatem_opt.report.grid import Column, Line, TextTable

    rows: list[dict[str, Any]] = []
    for name in library.names():
        network = library.load(name)
        shapes = [[n.channels, n.height, n.width] for n in network.nodes if n.kind == "input"]
        rows.append({"name": name, "inputs": shapes, **summary(network), "source": network.source})
    if as_json:
        show_json({"networks": rows})
        return
    columns = (
        Column("name", right=False), Column("input", rank=4), Column("crossbar\nlayers", rank=1),
        Column("weights", rank=2), Column("MACs", rank=3), Column("source", "text", 5, right=False),
    )  # fmt: skip
    lines = []
    for row in rows:
        inputs = ", ".join("x".join(map(str, shape)) for shape in row["inputs"])
        numbers = (str(row["layers"]), f"{row['parameters']:,}", f"{row['macs']:,}")
        lines.append(Line((row["name"], inputs, *numbers, row["source"])))
    show(TextTable(columns, tuple(lines)))
