"""Reading and writing files safely, where shipped instances are, how names are found and shown.

Knows nothing of networks or chips. Read access (checked reading, atomic writing), then shipped and names.
"""
