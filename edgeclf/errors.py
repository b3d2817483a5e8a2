"""The errors that edgeclf raises on purpose.

```
EdgeclfError
├── ModelError         (ValueError)   a model file that cannot be read or used
├── LabelError         (ValueError)   labels that do not fit the model
├── ImageError         (ValueError)   a picture that cannot be decoded
├── DatasetError       (ValueError)   a folder or table that cannot be trained on
├── DownloadError      (OSError)      a file that could not be fetched and checked
└── MissingExtraError  (ImportError)  an optional package that is not installed
```

A wrong argument stays a plain `ValueError` or `TypeError`, a missing path a
`FileNotFoundError`.
"""


class EdgeclfError(Exception):
    """Root of all errors of this library."""


class ModelError(EdgeclfError, ValueError):
    """A model file is damaged, unsupported or not an image classifier."""


class LabelError(EdgeclfError, ValueError):
    """Labels are missing, or their number does not match the model's output."""


class ImageError(EdgeclfError, ValueError):
    """A picture cannot be decoded, or is too large to be decoded safely."""


class DatasetError(EdgeclfError, ValueError):
    """A dataset cannot be read, or holds too little to train on."""


class DownloadError(EdgeclfError, OSError):
    """A download failed, or its checksum is not the published one."""


class MissingExtraError(EdgeclfError, ImportError):
    """An optional package is needed; the message has the line that installs it."""


# C0 and C1, by which a text from a stranger could steer a terminal; not tab, new line.
_SPELLED = {
    code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))
}


def visible(text: str) -> str:
    r"""Return a text with its control characters spelled out, `\x1b` for escape."""
    return text.translate(_SPELLED)
