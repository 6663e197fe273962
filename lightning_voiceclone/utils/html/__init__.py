"""Building blocks of HTML pages: the demonstration's, the report's and the listening test's."""
