"""Federated adaptation of a model by Flower: recordings stay with the clients, only weights travel."""

import os

# Flower would report its use to its makers; it reads this when it is imported.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
