"""The live graph: a drawing of engine.layout with states laid over it and a cursor in it."""
