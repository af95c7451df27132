"""The whole system in one run: assets, bundles, a venue, the service, a swap, the proof.

Every part is the real one, as its own process: the Dagster run, the sensor, the venue server, the service, the replay.
"""
