"""Pure drawing of pipeline graphs: a grid of characters and direction bits, and exports of the same layout.

Nothing here reads a clock, a file or the store; the same graph gives the same drawing in every process. `arrange`
is the costly step and belongs off the event loop, `paint` and everything after it is cheap. Each is imported from
its own module: glyphs alone must not cost the router.
"""
