"""What a report is: dataclasses, and the versioned file that they are kept in."""
