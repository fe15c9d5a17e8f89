"""The generated shop of the demo; its door is `generate.run`, the stage generate-shop."""
