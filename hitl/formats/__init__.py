"""How Django writes times where a template does not say: ISO 8601, like everywhere else here."""
