"""What other packages import of the other package's protocols; the protocols themselves are not here."""
