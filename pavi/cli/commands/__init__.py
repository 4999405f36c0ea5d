"""What each command does, a module each, which is imported when the command is run.

The module of a command has a function `run`, which takes the arguments. It returns nothing, or an
exit code where that is none of a mistake, or raises what went wrong.
"""
