"""One file per format: `look` tells its columns, `read` hands out its rows, a writer takes batches.

Law: a reader streams and keeps no more than a few blocks; a value that does not fit is an error that names file,
row and column, with the value cut and made harmless.
"""
