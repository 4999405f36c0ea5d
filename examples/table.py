"""The table of all examples, from their JSON files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from pavi.interop.reference import CONVERGED, format_r_hat

HEAD = """# Examples on real data

`python -m examples` writes all of this from kept draws by NUTS, `python -m examples.NAME` one
row: fits of several seeds, a figure of the first and a check against NUTS of the same model. `z`
is the difference of the means in NUTS standard deviations, `sd ratio` our standard deviation over
that of NUTS. A fit agrees where every global is within 0.3 in mean and 20% in standard deviation.
The table has the worst of all globals and seeds, and the ELBO of the worst and the best seed.
Effects are those of rows on plates; there is a dash where the reference holds none.

Seconds are of one fit by PAVI in this run, the mean over seeds, and of NUTS when its draws were
made (`--fresh` makes them again), compiling and warm-up included. Those in brackets are of the
processor and do not count what else the machine did. The kept moments of Chem97 and InstEval were
made with NumPyro on two cores, where 2 chains of 1,000 draws would have taken 30 s and 44 s.

"""
COLUMNS = (
    "example",
    "data",
    "latents",
    "largest \\|z\\|",
    "sd ratios",
    "effects, rms z",
    "ELBO",
    "seeds that agree",
    "PAVI, s (CPU)",
    "NUTS, s (CPU)",
)


def write_table(folder: Path) -> None:
    """Write `README.md` from every `NAME.json` in a folder."""
    lines = [_line(COLUMNS), _line(("---",) * len(COLUMNS))]
    details = []
    for path in sorted(folder.glob("*.json")):
        found = json.loads(path.read_text())
        fits = found["fits"]
        z, worst = max((abs(r["z"]), name) for fit in fits for name, r in fit["globals"].items())
        ratios = [row["sd_ratio"] for fit in fits for row in fit["globals"].values()]
        elbos = [fit["elbo"] for fit in fits]
        span = dict.fromkeys(f"{elbo:.2f}" for elbo in (min(elbos), max(elbos)))
        agreeing = f"{sum(fit['agrees'] for fit in fits)} of {len(fits)}"
        mean = {key: fmean(f[key] for f in fits) for key in ("seconds", "cpu_seconds")}
        lines.append(
            _line(
                (
                    f"[{path.stem}]({path.stem}.png)",
                    found["title"],
                    f"{found['latents']:,}",
                    f"{z:.2f} (`{worst}`)",
                    f"{min(ratios):.2f} to {max(ratios):.2f}",
                    _effects(fits) or "-",
                    " to ".join(span),
                    agreeing if all(fit["agrees"] for fit in fits) else f"**{agreeing}**",
                    _seconds(mean),
                    _seconds(found["reference"]),
                )
            )
        )
        details += ["", f"## {path.stem}", "", _globals(fits), "", _facts(found)]
        if (folder / f"{path.stem}-globals.png").exists():
            details += ["", f"![The globals of {path.stem}]({path.stem}-globals.png)"]
    (folder / "README.md").write_text(HEAD + "\n".join([*lines, *details]) + "\n")


def _effects(fits: Sequence[dict[str, Any]]) -> str:
    """Per site on plates, the largest distance over seeds."""
    worst = {site: max(fit["plates"][site]["rms_z"] for fit in fits) for site in fits[0]["plates"]}
    return ", ".join(f"{site} {z:.3f}" for site, z in worst.items())


def _seconds(found: dict[str, float]) -> str:
    """Of the clock, and of the processor where it is known."""
    text = f"{found['seconds']:.0f}"
    return f"{text} ({found['cpu_seconds']:.0f})" if "cpu_seconds" in found else text


def _globals(fits: Sequence[dict[str, Any]]) -> str:
    """Mean and sd are of the first seed; z and ratio of every one."""
    names = ("global", "mean", "sd", "NUTS mean", "NUTS sd", "z of each seed", "sd ratio of each")
    lines = [_line(names), _line(("---",) * len(names))]
    for name, first in fits[0]["globals"].items():
        rows = [fit["globals"][name] for fit in fits]
        keys = ("mean", "sd", "reference_mean", "reference_sd")
        numbers = [f"{first[key]:.4g}" for key in keys]
        z = ", ".join(f"{row['z']:+.2f}" for row in rows)
        ratio = ", ".join(f"{row['sd_ratio']:.2f}" for row in rows)
        lines.append(_line((name, *numbers, z, ratio)))
    return "\n".join(lines)


def _facts(found: dict[str, Any]) -> str:
    reference = found["reference"]
    elbos = (f"{fit['elbo']:.2f} (s.e. {fit['elbo_se']:.2f})" for fit in found["fits"])
    seeds = ", ".join(str(fit["seed"]) for fit in found["fits"])
    text = f"Seeds {seeds}: {found['steps']} steps; ELBO {', '.join(elbos)}. "
    text += f"{reference['sampler']}: {reference['chains']} chains"
    if "draws" in reference:
        text += f" of {reference['draws']:,} draws"
    if "divergences" in reference:
        text += f", {reference['divergences']} divergences"
    if "largest_r_hat" in reference:
        text += f", largest R-hat {format_r_hat(reference['largest_r_hat'])}"
        text += "" if reference["largest_r_hat"] <= CONVERGED else " (**not converged**)"
    if "smallest_ess" in reference:
        text += f", smallest ESS {reference['smallest_ess']:,.0f}"
    return text + "."


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
