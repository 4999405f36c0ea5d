"""The paper's experiments and the programs that run them."""
