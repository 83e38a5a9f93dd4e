"""Does a board give the engine's answers on real images?"""
