"""How each sensor is: states with reasons, from arrivals and contents; limits, and how they are learned. All pure."""
