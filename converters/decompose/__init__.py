"""Operations of the source frameworks in terms of the op table, shared by both importers.

Every function appends nodes at ``site`` and returns the result; an operation that changes nothing returns its input.
``Unsupported`` says, as a hint for the user, why something has no counterpart.
"""
