"""Train models and write their artifacts.

``own_model`` trains on a user's pictures and ``shipped_models`` rebuilds the shipped ones. Both follow a
``recipe`` through one of two pipelines: ``frozen_encoder`` fits a hash ``method`` to the ``features`` of a
pretrained encoder, ``end_to_end`` trains encoder and hash layer together. Either ends in ``artifacts``, which
exports, measures and writes the model. ``monitoring`` shows progress and keeps checkpoints.
"""
