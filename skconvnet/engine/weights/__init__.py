"""The learned numbers: their layout in one vector, batch norms folded for scoring, a network cut behind a layer."""
