"""How far an answer, or a map of one, can be believed. Arrays in, numbers out."""
