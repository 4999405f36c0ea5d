"""Numbers that were published, to stand beside ours.

Reference:
    Rouillard and Wassermann (2022), ADAVI, tables 1 to 3: median ELBOs in nats over their data.
"""

from __future__ import annotations

from collections.abc import Mapping

PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "GRE G=3": {
        "mean field": 245.0,
        "ADAVI": 225.0,
        "cascading flows": 236.0,
        "total flow": 237.0,
    },
    "GRE G=30": {
        "mean field": 2440.0,
        "ADAVI": 2320.0,
        "cascading flows": 2380.0,
        "total flow": 2270.0,
    },
    "NC": {"mean field": -21.0, "cascading flows": -17.5, "ADAVI": -17.6},
    "GM": {
        "mean field": 171.0,
        "cascading flows": 191.0,
        "total flow": 181.0,
        "ADAVI": -494.0,
    },
}
# ADAVI's gap to the exact evidence of GRE in nats, by the number of groups.
PUBLISHED_GAPS: Mapping[str, float] = {"GRE G=3": 17.0, "GRE G=30": 114.0}
