"""Where copies lie on the chip, and exchanges of tiles that shorten the way of data or relieve routers (M6, M8).

Read order, interleaving, blocks (of chains), congestion, places; then the exchanges: segment_relief, period_relief,
shortening.
"""
