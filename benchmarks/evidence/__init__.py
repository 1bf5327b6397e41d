"""Studies behind what quantd claims: published results reproduced, and how a fleet scales."""
