"""How fast a camera's faults are found in clips that real encoders made, and how often one is reported for nothing."""
