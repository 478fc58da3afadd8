"""Pure rules: they decide, others act. No clock, dice, files, threads or SQL; all of that comes in as arguments."""
