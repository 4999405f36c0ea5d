"""The table of all examples, from their JSON files."""

from __future__ import annotations

import json
from pathlib import Path

HEAD = """# Examples on real data

`python -m examples` writes all of this from kept draws by NUTS, `python -m examples.NAME` one
row: a fit, a figure and a check against NUTS of the same model. `z` is the difference of the means
in NUTS standard deviations, `sd ratio` our standard deviation over that of NUTS. An example agrees
where every global is within 0.3 in mean and 20% in standard deviation. Effects are those of rows
on plates; there is a dash where the reference holds none.

Seconds are of the fit by PAVI in this run, and of NUTS when its draws were made (`--fresh` makes
them again), compiling and warm-up included. Those in brackets are of the processor and do not
count what else the machine did. The kept moments of Chem97 and InstEval were made with NumPyro
on two cores, where 2 chains of 1,000 draws would have taken 30 s and 44 s.

"""
COLUMNS = (
    "example",
    "data",
    "latents",
    "largest \\|z\\|",
    "sd ratios",
    "effects, rms z",
    "agrees",
    "PAVI, s (CPU)",
    "NUTS, s (CPU)",
)


def write_table(folder: Path) -> None:
    """Write `README.md` from every `NAME.json` in a folder."""
    lines = [_line(COLUMNS), _line(("---",) * len(COLUMNS))]
    details = []
    for path in sorted(folder.glob("*.json")):
        found = json.loads(path.read_text())
        rows = found["globals"]
        worst = max(rows, key=lambda name: abs(rows[name]["z"]))
        ratios = sorted(row["sd_ratio"] for row in rows.values())
        effects = ", ".join(f"{n} {g['rms_z']:.3f}" for n, g in found["plates"].items())
        lines.append(
            _line(
                (
                    f"[{path.stem}]({path.stem}.png)",
                    found["title"],
                    f"{found['latents']:,}",
                    f"{abs(rows[worst]['z']):.2f} (`{worst}`)",
                    f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
                    effects or "-",
                    "yes" if found["agrees"] else "**no**",
                    _seconds(found),
                    _seconds(found["reference"]),
                )
            )
        )
        details += ["", f"## {path.stem}", "", _globals(rows), "", _facts(found)]
        if (folder / f"{path.stem}-globals.png").exists():
            details += ["", f"![The globals of {path.stem}]({path.stem}-globals.png)"]
    (folder / "README.md").write_text(HEAD + "\n".join([*lines, *details]) + "\n")


def _seconds(found: dict[str, float]) -> str:
    """Of the clock, and of the processor where it is known."""
    text = f"{found['seconds']:.0f}"
    return f"{text} ({found['cpu_seconds']:.0f})" if "cpu_seconds" in found else text


def _globals(rows: dict[str, dict[str, float]]) -> str:
    names = ("global", "mean", "sd", "NUTS mean", "NUTS sd", "z", "sd ratio")
    lines = [_line(names), _line(("---",) * len(names))]
    for name, row in rows.items():
        keys = ("mean", "sd", "reference_mean", "reference_sd")
        numbers = [f"{row[key]:.4g}" for key in keys]
        lines.append(_line((name, *numbers, f"{row['z']:+.2f}", f"{row['sd_ratio']:.2f}")))
    return "\n".join(lines)


def _facts(found: dict[str, object]) -> str:
    reference = found["reference"]
    assert isinstance(reference, dict)
    text = f"{found['steps']} steps; ELBO {found['elbo']:.2f} (s.e. {found['elbo_se']:.2f}). "
    text += f"{reference['sampler']}: {reference['chains']} chains"
    if "draws" in reference:
        text += f" of {reference['draws']:,} draws"
    if "divergences" in reference:
        text += f", {reference['divergences']} divergences"
    if "largest_r_hat" in reference:
        text += f", largest R-hat {reference['largest_r_hat']:.3f}"
        text += "" if reference["largest_r_hat"] <= 1.01 else " (**not converged**)"
    if "smallest_ess" in reference:
        text += f", smallest ESS {reference['smallest_ess']:,.0f}"
    return text + "."


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
