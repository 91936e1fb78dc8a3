"""What a fault run found, for people and for programs: text, JUnit, SARIF, and one self-contained page."""
