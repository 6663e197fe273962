"""What pages are made of: the demonstration's, the report's and the listening test's."""
