"""Operations of the source frameworks, said in the simpler ones of the op table; shared by both importers."""
