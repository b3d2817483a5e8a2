"""Fuzz targets: what reads bytes that strangers wrote.

```
python -m fuzz images -max_total_time=600
```

Each module is one target: `try_input` reads one input, and raises when something
happens that must not; `seeds` are whole files to begin with. `tests/test_corpus.py`
shows the targets all that is kept in `tests/corpus/`, without a fuzzer.
"""
