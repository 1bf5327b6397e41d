"""What one pass over the calibration set measures: activation ranges and moments of layer inputs."""
