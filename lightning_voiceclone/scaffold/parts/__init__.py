"""One small part of each kind, by the kind's name: what ``lvc plugins new`` writes, with the class's name changed."""
