"""Reading and writing files safely, and where shipped instances are; knows nothing of networks or chips.

Read access (checked reading, atomic writing), then shipped.
"""
