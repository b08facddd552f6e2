"""Parse the containers of picture files (markers, chunks, boxes, directories) without a decoder.

Each module turns a file into a ``Source``: the bytes that a decoder needs, and the metadata that affects how
the picture looks. Everything else (text, thumbnails, maker notes, trailing data) is removed, so that damage in
it does not prevent decoding.
"""
