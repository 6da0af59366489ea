"""What is known of a design, gathered into a report."""
