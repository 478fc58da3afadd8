"""The imperative shell of one engine: it carries out what the rules decide, and nothing before it is written."""
