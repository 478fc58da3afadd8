"""Values as cells: text with a tone. Pure, no widgets; everything untrusted is cleaned here."""
