"""The thin seam to Bytewax 0.21.1: source, sink, recovery, fence and launcher of every dataflow.

Only this package and the flow modules beside it import Bytewax; the decisions in flows.core do
not, so they can be moved if Bytewax dies.
"""
