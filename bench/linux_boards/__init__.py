"""How many instructions C libraries take on 64-bit Arm, counted under emulation."""
