"""The checks of ``lookalike doctor``: each looks at one part of a set-up and changes nothing."""
