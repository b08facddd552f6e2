"""What picture files hold around their pixels: markers, chunks, boxes and directories, read without a decoder.

Each module turns a file into a ``Source``: the bytes that a decoder needs, and what a viewer must know to show
them. Everything else (text, thumbnails, maker notes, what follows the picture's end) is left out, so that no
damage there can cost the picture.
"""
