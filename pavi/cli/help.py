"""What the command line teaches."""

from __future__ import annotations

# A model to begin with; it is run as it stands.
MODEL = """\
from pavi import Covariate, HierarchicalModel, Latent, Observed, Plate
from torch.distributions import HalfNormal, Normal

schools = HierarchicalModel(
    plates=[Plate("school"), Plate("pupil", within="school")],
    sites={
        "mu": Latent(lambda: Normal(0.0, 5.0)),
        "beta": Latent(lambda: Normal(0.0, 5.0)),
        "tau": Latent(lambda: HalfNormal(2.0)),
        "sigma": Latent(lambda: HalfNormal(5.0)),
        "b": Latent(lambda tau: Normal(0.0, tau), plates="school"),
        "gcse": Covariate(plates="pupil"),
        "score": Observed(
            lambda mu, beta, b, gcse, sigma: Normal(mu + beta * gcse + b, sigma),
            plates="pupil",
        ),
    },
)
"""


def indented(text: str) -> str:
    """Lines of code, set off by four spaces."""
    return "".join(f"    {line}\n" if line.strip() else "\n" for line in text.splitlines())


MAIN = f"""\
example:
  A model is a Python file. Plates repeat what lies on them; the names of a function's arguments
  are what a site depends on. Commands run the file, so let it define models and nothing else.
  Write this to model.py:

{indented(MODEL)}
  Data are a CSV file with a line per pupil and a column for each plate and each measured site;
  data.csv begins like this:

    school,gcse,score
    St Mary,-0.61,1.75
    St Mary,0.32,3.40
    Hillside,1.08,4.29

  Then:

    pavi describe model.py:schools data.csv         see the model, and that the data fit it
    pavi fit model.py:schools data.csv --out fit    fit it
    pavi check fit                                  whether to trust it, and what to try
    pavi report fit                                 write fit/report.html, to open in a browser
    pavi summary fit                                means, spreads and intervals, as a table
    pavi sample fit --site b --out draws.csv        draws of the school effects

  `pavi COMMAND --help` says more. The exit code is 0 if all went well, 1 if the fit failed, 2 if
  something asked for cannot be, 75 if a signal (SIGTERM, SIGUSR1) ended a fit, 130 if you stopped
  it. After the last two the same command goes on where it was.
"""

FIT = """\
example:
  pavi fit model.py:schools data.csv --out fit
  pavi fit model.py:schools data.csv --out fit2 --encodings deep-set --steps 4000 --seed 1
  pavi fit model.py:schools data.csv --out fit3 --flow tau=nsf --batch school=20

encodings are what tells one group from another:
  free             a few free numbers per group; the closest fit (default)
  deep-set         computed from each group's data; as many parameters at 100 groups as at 100,000
  set-transformer  the same with attention between the rows of a group
  hybrid           computed, plus free numbers that are trained last

flows are the shapes that the posterior of a site may have, given its encoding:
  affine           a normal, on the scale of the logarithm where a site is positive (default)
  maf              bent and correlated, for skewed or curved posteriors
  nsf              splines, for long tails; try --learning-rate 0.01 --table-rate 0.03
  coupling         one half of the entries moved by the other, for long vectors

It ends with a verdict: whether the fit can be trusted, by as many draws as take a few seconds, and
what to try. `pavi check` tells more, and `pavi report` most.

The folder holds the posterior, a copy of the model file, which later commands use, and fit.json
with the command, the files, their checksums and the versions. A fit that is interrupted or killed
leaves FOLDER.checkpoints, from which the same command goes on.
"""

SUMMARY = """\
example:
  pavi summary fit
  pavi summary fit --site mu --site b --out summary.csv
"""

SAMPLE = """\
example:
  pavi sample fit --site b --draws 1000 --out draws.csv
  pavi sample fit --site mu --site tau --out globals.csv

The columns are the number of the draw, the labels of the plates and the sites. Sites of one file
lie on the same plates, so that draws of one line belong together.
"""

CHECK = """\
example:
  pavi check fit
  pavi check fit --inner 16

It looks at the end of the course of the fit and at importance weights: of the sites without plates
and of every row of every plate. A Pareto k-hat above 0.7 says that parts of the posterior are
missed. The report takes as many draws as this does by default, and says the same.
"""

DESCRIBE = """\
example:
  pavi describe model.py:schools
  pavi describe model.py:schools data.csv --diagram model.svg

With data, it also sees whether they fit the model, and counts their rows.
"""

REPORT = """\
example:
  pavi report fit
  pavi report fit --out chem97.html --title "A-level scores"

The report is one HTML file that needs nothing else: the model, the data, the course of the fit,
tables and figures of the posterior, predictive checks, whether to trust the fit, and where all of
it comes from.
"""
