"""Writers of the mini world in the official layouts of the benchmarks, one format per file.

They write straight into their folder: put them in a `StagedFolder` to get all of it or nothing.
"""
