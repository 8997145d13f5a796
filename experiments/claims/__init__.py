"""What is said of SDXL-Turbo, put to the test."""
