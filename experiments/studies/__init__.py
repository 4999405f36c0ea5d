"""The paper's ablations: what is run, how it is carried out, and what is made of it."""
