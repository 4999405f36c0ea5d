"""The paper's experiments and the programs that run them."""

import sys

from experiments.extras import absent_extras

# What Python has there while it looks for the module of `python -m experiments...`: a program is
# about to start, which is told in a sentence what it lacks. An import from elsewhere is not.
if sys.argv[0] == "-m" and (told := absent_extras()):
    sys.exit(told)
